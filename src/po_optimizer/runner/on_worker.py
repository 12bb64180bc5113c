"""What happens on a Dask worker: one node, with the project's hooks around it.

Scheduler and workers import this module: what only a running node needs is imported
when it runs.
"""

import asyncio
import os
import pickle
import signal
import socket
import traceback
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
import rich
from distributed import Worker, WorkerPlugin
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import (
    _create_hook_manager,
    _register_hooks,
    _register_hooks_entry_points,
)
from kedro.framework.project import configure_project, settings, validate_settings
from kedro.runner import Task
from pluggy import PluginManager
from tblib import pickling_support

from po_optimizer.errors import PoOptimizerError
from po_optimizer.explain import explain

_ended: dict[str, str] = {}  # run -> why it ended
_running: list[str] = []  # the runs whose nodes this process runs now


@dataclass(frozen=True)
class NodeWork:
    """A node of a run on its way to a worker.

    Its task holds the catalog, credentials too. Dask shows and logs what it is sent:
    so here it is bytes that no representation contains.
    """

    run: str
    task: bytes = field(repr=False)


@dataclass(frozen=True)
class NodeEnd:
    """How a node ended, and where: `error` is the pickled exception, or None."""

    worker: str
    error: bytes | None = field(default=None, repr=False)


def run_node(work: NodeWork) -> NodeEnd:
    """Loads the node's inputs, runs it, saves its outputs.

    A failure is handed over, not raised: Dask would print it on the worker with the
    arguments, and drop what caused it.
    """
    from po_optimizer.lms import StopRun  # noqa: PLC0415 -- not on the scheduler

    where = f"{socket.gethostname()}, process {os.getpid()}"
    guard = EndGuard(work.run)
    _running.append(work.run)
    try:
        guard.check()
        task: Task = pickle.loads(work.task)  # noqa: S301 -- our own client made it
        task.hook_manager = _hook_manager(guard)
        task.execute()
    except StopRun as stop:
        return NodeEnd(where, _portable(stop.as_error()))
    except Exception as error:  # noqa: BLE001 -- the client raises it again
        return NodeEnd(where, _portable(error))
    finally:
        _running.remove(work.run)
    return NodeEnd(where)


def end_run(run: str, why: str) -> None:
    """Forbids this process every further paid LM call of a run."""
    _ended.setdefault(run, why)


class EndGuard:
    """Stops a node at its next paid LM call once its run has ended.

    Dask cannot interrupt what runs; an LM call in flight is finished and kept.
    """

    def __init__(self, run: str) -> None:
        self._run = run

    @hook_impl
    def after_dataset_loaded(self, data: Any) -> None:
        """Watches over the calls of every LM that the node gets."""
        from po_optimizer.lms import Meter  # noqa: PLC0415 -- not on the scheduler

        meter = getattr(data, "meter", None)
        if isinstance(meter, Meter):
            meter.guards.append(self.check)

    def check(self) -> None:
        """Raises the StopRun if the run has ended."""
        if self._run in _ended:
            from po_optimizer.lms import Interrupted  # noqa: PLC0415 -- likewise

            raise Interrupted(_ended[self._run])


class ProjectPlugin(WorkerPlugin):
    """The project's settings and hooks on every worker, for as long as a run takes.

    Args:
        package: Of the Kedro project; it is importable on the workers.
        run: No other run has this name; its tasks' keys end with it.
        ours: The workers are this run's own children. Ctrl-C reaches them too then,
            and it is the client that ends them in order.
    """

    def __init__(self, package: str, run: str, *, ours: bool) -> None:
        self.name = f"kedro-{run}"
        self._package = package
        self._run = run
        self._ours = ours

    async def setup(self, worker: Worker) -> None:
        """Configures the project; in a thread, for its imports take seconds."""
        rich.reconfigure(force_terminal=False)  # no live displays of several processes
        if self._ours:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        await asyncio.to_thread(self._load_project)

    def _load_project(self) -> None:
        configure_project(self._package)
        validate_settings()  # else a settings module that is missing is passed over

    def transition(self, key: str, start: str, finish: str, **rest: object) -> None:
        """Ends the run here when the client is gone: Dask then releases its tasks."""
        if (start, finish) == ("executing", "released") and str(key).endswith(
            self._run
        ):
            end_run(self._run, "the run's client is gone")

    def teardown(self, worker: Worker) -> None:
        """Ends the run here, and the embedded LMs unless another run uses them."""
        from po_optimizer.lms import stop_servers  # noqa: PLC0415 -- likewise

        end_run(self._run, "the worker is closing")
        if all(run == self._run for run in _running):
            stop_servers()


def _hook_manager(guard: EndGuard) -> PluginManager:
    """The project's hooks, as a session registers them, and the guard."""
    manager = _create_hook_manager()
    _register_hooks(manager, settings.HOOKS)
    _register_hooks_entry_points(manager, settings.DISABLE_HOOKS_FOR_PLUGINS)
    manager.register(guard)
    return manager


def _portable(error: BaseException) -> bytes:
    """The error with its causes and tracebacks; in words if it does not travel."""
    pickling_support.install(error)
    try:
        data: bytes = cloudpickle.dumps(error)
        pickle.loads(data)  # noqa: S301 -- made one line above
    except Exception:  # noqa: BLE001 -- an exception may hold anything
        data = pickle.dumps(_in_words(error))
    return data


def _in_words(error: BaseException) -> Exception:
    sentence = explain(error)
    if sentence is None:
        return RuntimeError("".join(traceback.format_exception(error)))
    told = PoOptimizerError(sentence)
    told.exit_code = getattr(error, "exit_code", told.exit_code)
    return told
