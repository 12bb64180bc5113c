"""A sweep on Dask: tasks go to workers, and what came of them comes back."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from distributed import (
    CancelledError,
    Client,
    Future,
    KilledWorker,
    LocalCluster,
    as_completed,
    wait,
)
from kedro.framework import project
from kedro.framework.context import KedroContext

from po_optimizer.console.live import StageBar, show
from po_optimizer.errors import PoOptimizerError, SettingError, listed
from po_optimizer.lms.stops import Interrupted
from po_optimizer.params.project import SweepParams
from po_optimizer.sweep.sessions import (
    SessionEnd,
    SessionPlugin,
    run_session,
    stop_sessions,
)
from po_optimizer.sweep.tasks import SessionTask, failure, make_tasks

logger = logging.getLogger(__name__)

_SECONDS_TO_CONNECT = 10
_DASHBOARD = "127.0.0.1:8787"


def run_sweep(sweep: SweepParams, context: KedroContext) -> dict[str, Any]:
    """Runs every configuration, as many at a time as there are workers.

    Args:
        sweep: The configurations, and where they run.
        context: Of the session that asks for the sweep.

    Returns:
        `configurations` (name and seconds of each) and `ended_early` (a sentence for
        each whose optimization ended early, though with a program).

    Raises:
        SettingError: A configuration or the cluster cannot be used.
        PoOptimizerError: Configurations failed; the others were run to their end.
        InterruptedRunError: Ctrl-C; what ran has ended in order.
    """
    tasks = make_tasks(sweep, context)
    with _connected(sweep, tasks[0]) as client:
        ends = _run_all(client, tasks)
    failed = {end.name: end for end in ends if end.error is not None}
    if failed:
        codes = {end.exit_code for end in failed.values()}
        errors = {name: str(end.error) for name, end in failed.items()}
        raise failure(errors, len(ends), codes.pop() if len(codes) == 1 else 1)
    return {
        "ended_early": [
            f"{end.name}: {end.ended_early}" for end in ends if end.ended_early
        ],
        "configurations": [{"name": end.name, "seconds": end.seconds} for end in ends],
    }


@contextmanager
def _connected(sweep: SweepParams, task: SessionTask) -> Iterator[Client]:
    """A client of the cluster whose workers are ready for sessions.

    Raises:
        SettingError: The cluster cannot be used.
    """
    plugin = SessionPlugin(task, ours=sweep.scheduler is None)
    setting, problem = "scheduler", "no scheduler answers there"
    if sweep.scheduler is None:
        setting, problem = "workers", "they did not start on this machine"
    with ExitStack() as stack:
        try:
            place = sweep.scheduler or stack.enter_context(_local_cluster(sweep))
            client = stack.enter_context(Client(place, timeout=_SECONDS_TO_CONNECT))
            problem = "no worker has joined the scheduler"
            client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
            problem = "its workers cannot run the project"
            client.register_plugin(plugin)
        except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise SettingError(
                f"sweep.{setting}",
                getattr(sweep, setting),
                f"{problem}: {str(error).rstrip('.')}",
                "Start `dask scheduler` and, where this project and po-optimizer[dask] "
                "are installed in the same versions, `dask worker ADDRESS --nworkers 4 "
                "--nthreads 1`. Without an address, workers are started on this "
                "machine.",
            ) from error
        stack.callback(client.unregister_worker_plugin, plugin.name)
        client.forward_logging(project.PACKAGE_NAME)
        if find_spec("bokeh"):
            logger.info("Dask's dashboard: %s", client.dashboard_link)
        yield client


def _local_cluster(sweep: SweepParams) -> LocalCluster:
    return LocalCluster(
        n_workers=min(sweep.workers, len(sweep.configurations)),
        threads_per_worker=1,
        memory_limit=0,  # Dask's limits are for its own data: there is none
        dashboard_address=_DASHBOARD if find_spec("bokeh") else None,
    )


def _run_all(client: Client, tasks: Sequence[SessionTask]) -> list[SessionEnd]:
    """How each configuration ended, in the order of the tasks.

    Raises:
        InterruptedRunError: Ctrl-C.
    """
    names = {
        client.submit(run_session, task, key=f"{task.sweep}-{task.name}"): task.name
        for task in tasks
    }
    ends: dict[str, SessionEnd] = {}
    bar = StageBar("sweep", len(tasks))
    try:
        with show(bar):
            for future in as_completed(names):
                end = ends[names[future]] = _result(client, future, names[future])
                bar.advance(end.seconds)
                how = "failed" if end.error else "done"
                progress = (how, end.seconds, len(ends), len(tasks))
                logger.info("%s: %s after %.0f s, %d of %d", end.name, *progress)
    except KeyboardInterrupt:
        running = [name for name in names.values() if name not in ends]
        logger.warning("ending %s at their next LM call", listed(running))
        client.run(stop_sessions, tasks[0].sweep, on_error="ignore")
        wait(list(names))  # a second Ctrl-C does not
        raise Interrupted().as_error() from None
    return [ends[task.name] for task in tasks]


def _result(client: Client, future: Future, name: str) -> SessionEnd:
    try:
        end: SessionEnd = future.result()
    except KilledWorker as error:
        problem = (
            f"all {error.allowed_failures + 1} workers that tried it died. The usual "
            "reason is memory: give the workers more, or use fewer on a machine"
        )
        return SessionEnd(name, error=problem)
    except (CancelledError, OSError) as error:
        raise PoOptimizerError(
            f"sweep: the Dask scheduler at {client.scheduler.address} is gone. LM "
            "answers so far are kept: start it, then the same command resumes."
        ) from error
    return end
