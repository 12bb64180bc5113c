"""The course of a run: which nodes wait, which run, what became of the others."""

import pickle
import queue
from collections.abc import Callable, Mapping
from logging import getLogger
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from po_optimizer.errors import (
    ExecutionStopError,
    NodesFailedError,
    SchedulerLostError,
    WorkerDiedError,
    listed,
)
from po_optimizer.explain import explain
from po_optimizer.runner.on_worker import NodeEnd, NodeWork, end_run, run_node

logger = getLogger(__name__)


class Course:
    """One run of a pipeline.

    The client submits a node when those before it are done and a worker is free,
    instead of handing Dask the whole graph. Dask would run finished nodes again when
    their worker dies later, for it keeps results in the workers' memory; ours are in
    the catalog. And it would give nodes to busy workers, taking each for half a second
    of work: one worker had three optimizations then, another one.

    Args:
        client: Of a cluster whose workers know the project.
        pipeline: What is run.
        tasks: Of each node by name, as `run_node` takes it.
        run: No other run has this name.
        release: Told the name of each dataset that a worker has saved, so that what
            this process knows of it is looked up anew.
    """

    def __init__(
        self,
        client: Client,
        pipeline: Pipeline,
        tasks: Mapping[str, bytes],
        run: str,
        release: Callable[[str], None],
    ) -> None:
        self._client = client
        self._tasks = tasks
        self._run = run
        self._release = release
        self._total = len(pipeline.nodes)
        self._waiting: dict[Node, set[Node]] = dict(pipeline.node_dependencies)
        self._running: dict[Future, Node] = {}
        # a future that ended, or None when a worker joined
        self._news: queue.SimpleQueue[Future | None] = queue.SimpleQueue()
        self._done: set[Node] = set()
        self._failed: dict[Node, BaseException] = {}

    def run(self, *, keep_going: bool) -> None:
        """Runs every node, or those that do not depend on a failed one.

        Args:
            keep_going: Else the first failure ends the run: nothing new is begun, and
                what runs is stopped at its next LM call.

        Raises:
            NodesFailedError: It kept going, and some nodes failed.
            BaseException: What the first node to fail raised on its worker.
        """
        self._client.subscribe_topic("all", self._hear)
        try:
            self._submit_ready()
            while self._running:
                future = self._news.get()
                if future is not None:
                    self._note(*self._take(future), keep_going=keep_going)
                self._submit_ready()
        except KeyboardInterrupt:
            # an optimization that ended in order has a program: that is the news
            for error in self._end("interrupted by the user"):
                if isinstance(error, ExecutionStopError):
                    raise error from None
            raise
        except SchedulerLostError:
            raise
        except BaseException:
            self._end("another node failed")
            raise
        if self._failed:
            raise self._failures()

    def _submit_ready(self) -> None:
        ready = [node for node, needs in self._waiting.items() if needs <= self._done]
        for node in ready[: self._free_threads()] if ready else []:
            del self._waiting[node]
            key = f"{node.name}-{self._run}"
            work = NodeWork(self._run, self._tasks[node.name])
            future = self._client.submit(run_node, work, key=key)
            self._running[future] = node
            future.add_done_callback(self._news.put)

    def _free_threads(self) -> int:
        """At least 1 while nothing runs: that node waits for a worker to join."""
        try:
            threads: int = sum(self._client.nthreads().values())
        except OSError as error:
            raise SchedulerLostError(self._client.scheduler.address) from error
        return max(threads - len(self._running), 0 if self._running else 1)

    def _take(self, future: Future) -> tuple[Node, BaseException | None]:
        node = self._running.pop(future)
        try:
            end: NodeEnd = future.result()
        except KilledWorker as error:
            attempts = error.allowed_failures + 1
            return node, WorkerDiedError(node.name, attempts, error.last_worker.address)
        except CancelledError:
            return node, SchedulerLostError(self._client.scheduler.address)
        if end.error is None:
            return node, None
        logger.info("node %s: ended with an error on %s", node.name, end.worker)
        return node, pickle.loads(end.error)  # noqa: S301 -- from our own worker

    def _note(
        self, node: Node, error: BaseException | None, *, keep_going: bool
    ) -> None:
        if error is None:
            self._done.add(node)
            for name in node.outputs:
                self._release(name)
            done = len(self._done)
            logger.info("node %s: done, %d of %d", node.name, done, self._total)
            return
        if not keep_going or isinstance(error, SchedulerLostError):
            raise error
        self._failed[node] = error
        sentence = explain(error)
        defect = None if sentence else error  # of ours: its traceback is told at once
        logger.error("node %s: %s", node.name, sentence or error, exc_info=defect)

    def _end(self, why: str) -> list[BaseException]:
        """Ends what runs in order and gives what it raised.

        An LM call in flight is finished and kept; a second Ctrl-C does not wait for it.
        """
        if not self._running:
            return []
        logger.warning(
            "ending %s at their next LM call; Ctrl-C leaves at once",
            listed(node.name for node in self._running.values()),
        )
        self._client.run(end_run, self._run, why, on_error="ignore")
        errors = []
        while self._running:
            future = self._news.get()
            errors.append(self._take(future)[1] if future is not None else None)
        return [error for error in errors if error is not None]

    def _failures(self) -> NodesFailedError:
        said = {n.name: explain(e) or repr(e) for n, e in self._failed.items()}
        codes = {getattr(e, "exit_code", 1) for e in self._failed.values()}
        failures = NodesFailedError(
            said,
            [node.name for node in self._waiting],
            exit_code=codes.pop() if len(codes) == 1 else 1,
        )
        failures.__cause__ = next(iter(self._failed.values()))
        return failures

    def _hear(self, event: tuple[float, Any]) -> None:
        """Workers join and die; a node whose worker died is tried again by Dask."""
        _, told = event
        action = told.get("action") if isinstance(told, dict) else None
        if action == "add-worker":
            self._news.put(None)
        if action == "remove-worker" and not told["expected"]:
            running = {future.key: node for future, node in [*self._running.items()]}
            keys = running.keys() & set(told["processing-tasks"])
            lost = [running[key].name for key in keys]
            logger.warning(
                "worker %s died%s",
                told["worker"],
                f"; on the next free one runs again: {listed(lost)}" if lost else "",
            )
