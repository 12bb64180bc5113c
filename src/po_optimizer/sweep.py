"""A sweep: each configuration is a Kedro session of its own, run as a task of Dask.

Sessions share the LM's ledger and response cache and the record of judged programs.
Everything else they write lies in a folder of their own. So a session that runs again
after its worker died resumes as any killed run does, and pays for no answer twice.
"""

import json
import logging
import os
import signal
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import rich
from distributed import (
    CancelledError,
    Client,
    Future,
    KilledWorker,
    LocalCluster,
    Worker,
    WorkerPlugin,
    as_completed,
    wait,
)
from kedro.framework import project
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession
from omegaconf import OmegaConf
from pydantic import ValidationError

from po_optimizer.console.live import StageBar, show
from po_optimizer.console.logs import name_log_lines
from po_optimizer.console.messages import explain
from po_optimizer.errors import (
    ExecutionStopError,
    PoOptimizerError,
    SettingError,
    listed,
)
from po_optimizer.lms import Interrupted, StopRun, stop_requested, stop_servers
from po_optimizer.lms.meter import meters_in_use
from po_optimizer.lms.selection import prompt_lm_params, task_lm_params
from po_optimizer.params.project import SweepConfiguration, SweepParams

logger = logging.getLogger(__name__)

_SECONDS_TO_CONNECT = 10
_DASHBOARD = "127.0.0.1:8787"

_stopped_sweeps: set[str] = set()  # in this worker process


@dataclass(frozen=True)
class SessionTask:
    """The session of one configuration, on its way to a worker.

    Args:
        name: Of the configuration.
        sweep: No other run of a sweep has this name.
        package: Of the Kedro project.
        project_path: Folder of the project, the same on every machine.
        env: Kedro's environment; None: the default one.
        conf_source: Folder or archive of the configuration.
        runtime_params: Those of the sweep's own run, and what differs here.
    """

    name: str
    sweep: str
    package: str
    project_path: Path
    env: str | None
    conf_source: str
    runtime_params: dict[str, Any] = field(repr=False)  # Dask logs what it is sent

    def session(self) -> KedroSession:
        """A new session."""
        return KedroSession.create(
            project_path=self.project_path,
            env=self.env,
            conf_source=self.conf_source,
            runtime_params=self.runtime_params,
        )


@dataclass(frozen=True)
class SessionEnd:
    """How a session ended.

    Args:
        name: Of the configuration.
        seconds: Wall time.
        error: Why it failed; None: it did not.
        exit_code: Of the error.
        ended_early: Why its optimization ended early, though with a program; or None.
    """

    name: str
    seconds: float = 0.0
    error: str | None = None
    exit_code: int = 1
    ended_early: str | None = None


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
        raise _failure(errors, len(ends), codes.pop() if len(codes) == 1 else 1)
    return {
        "ended_early": [
            f"{end.name}: {end.ended_early}" for end in ends if end.ended_early
        ],
        "configurations": [{"name": end.name, "seconds": end.seconds} for end in ends],
    }


def make_tasks(sweep: SweepParams, context: KedroContext) -> list[SessionTask]:
    """A task for each configuration, once all of them are known to be valid.

    Raises:
        SettingError: There is no configuration, or one changes the testset.
        PoOptimizerError: A configuration's parameters cannot be used.
    """
    if not sweep.configurations:
        raise SettingError(
            "sweep.configurations", "[]", "there is none to run", "List at least one."
        )
    listing = json.dumps(sweep.model_dump()["configurations"])
    judged = {
        "num_compared": len(sweep.configurations),
        # a sweep that is run again goes on with its share of the testset's alpha
        "compared_in": f"sweep-{sha256(listing.encode()).hexdigest()[:16]}",
    }
    loader, sweep_id = context.config_loader, f"sweep-{uuid4().hex}"
    tasks = []
    for configuration in sweep.configurations:
        _check_same_testset(configuration)
        own = {
            **configuration.model_dump(exclude={"name"}, exclude_none=True),
            "promotion": judged,
            "sweep_folder": f"/sweep/{configuration.name}",
        }
        params = OmegaConf.merge(loader.runtime_params or {}, own)
        tasks.append(
            SessionTask(
                name=configuration.name,
                sweep=sweep_id,
                package=str(project.PACKAGE_NAME),
                project_path=context.project_path,
                env=context.env,
                conf_source=str(loader.conf_source),
                runtime_params=cast(dict[str, Any], OmegaConf.to_container(params)),
            )
        )
    _check_parameters(tasks)
    return tasks


def _check_same_testset(configuration: SweepConfiguration) -> None:
    """All configurations answer the same testset, or ranking them would mean nothing.

    The trainset and valset follow the testset in the order that the seed gives, so
    their sizes may differ.
    """
    sizes = set((configuration.data_prep or {}).get("sizes") or {})
    others = {*(configuration.data_prep or {})} - {"sizes"}
    wrong = sorted({*(f"sizes.{name}" for name in sizes - {"train", "val"}), *others})
    if wrong:
        raise SettingError(
            f"sweep.configurations[{configuration.name}].data_prep",
            listed(wrong),
            "configurations are compared on one testset, so only sizes.train and "
            "sizes.val may differ",
            "Set the rest in data_prep, for all of them.",
        )


def _check_parameters(tasks: Sequence[SessionTask]) -> None:
    """A misspelt key of the last configuration is an error before the first begins."""
    errors = {}
    for task in tasks:
        try:
            parameters = task.session().load_context().config_loader["parameters"]
            task_lm_params(parameters)
            prompt_lm_params(parameters)
        except (ValidationError, PoOptimizerError) as error:
            errors[task.name] = explain(error) or str(error)
    if errors:
        raise _failure(errors, len(tasks))


def _failure(
    errors: Mapping[str, str], n_tasks: int, exit_code: int = 1
) -> PoOptimizerError:
    lines = "".join(f"\n- {name}: {why}" for name, why in errors.items())
    error = PoOptimizerError(
        f"{len(errors)} of {n_tasks} configurations failed; what the others and these "
        f"have stored is kept, and the same command resumes:{lines}"
    )
    error.exit_code = exit_code
    return error


@contextmanager
def _connected(sweep: SweepParams, task: SessionTask) -> Iterator[Client]:
    """A client of the cluster whose workers are ready for sessions.

    Raises:
        SettingError: The cluster cannot be used.
    """
    plugin = SessionPlugin(task, ours=sweep.scheduler is None)
    with ExitStack() as stack:
        problem = "no scheduler answers there"
        try:
            place = sweep.scheduler or stack.enter_context(_local_cluster(sweep))
            client = stack.enter_context(Client(place, timeout=_SECONDS_TO_CONNECT))
            problem = "no worker has joined the scheduler"
            client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
            problem = "its workers cannot run the project"
            client.register_plugin(plugin)
        except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise SettingError(
                "sweep.scheduler",
                sweep.scheduler,
                f"{problem}: {error}",
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
                bar.advance()
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


class SessionPlugin(WorkerPlugin):
    """Makes a worker process ready for sessions, and ends them when it must.

    Args:
        task: Any task of the sweep.
        ours: The workers are children of the run. A terminal's Ctrl-C reaches them
            too then, and it is the run that ends them in order.
    """

    def __init__(self, task: SessionTask, *, ours: bool) -> None:
        self.name = task.sweep
        self._package = task.package
        self._project_path = task.project_path
        self._ours = ours

    def setup(self, worker: Worker) -> None:
        """Configures the project; its log lines go to the client only."""
        if self._ours:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        rich.reconfigure(force_terminal=False)  # no live displays of several processes
        os.chdir(self._project_path)
        project.configure_project(self._package)
        project.validate_settings()  # else a missing settings module is passed over
        logging.getLogger(self._package).handlers.clear()

    def transition(self, key: str, start: str, finish: str, **_: object) -> None:
        """Dask releases the tasks of a client that is gone while they run."""
        ended = (start, finish) == ("executing", "released")
        if ended and str(key).startswith(self.name):
            stop_sessions(self.name)

    def teardown(self, worker: Worker) -> None:
        """Ends sessions, and the embedded LMs that they started."""
        stop_sessions(self.name)
        stop_servers()


def run_session(task: SessionTask) -> SessionEnd:
    """Prepares, optimizes, stores and evaluates one configuration, on a worker."""
    begun = time.monotonic()
    how: dict[str, Any] = {}
    with name_log_lines(task.name):
        logger.info("begun by process %d", os.getpid())
        if task.sweep in _stopped_sweeps:
            return SessionEnd(task.name, error=str(Interrupted()))
        try:
            # its summary would be a table in another session's log lines
            with redirect_stdout(StringIO()):
                task.session().run(pipeline_names=["evaluate"])
        except ExecutionStopError as error:
            how = {"ended_early": str(error)}
        except (Exception, StopRun) as error:  # noqa: BLE001 -- the client tells it
            sentence = explain(error) or "".join(traceback.format_exception(error))
            how = {"error": sentence, "exit_code": getattr(error, "exit_code", 1)}
        finally:
            stop_requested.clear()
    return SessionEnd(task.name, round(time.monotonic() - begun, 1), **how)


def stop_sessions(sweep: str) -> None:
    """Stops this process's sessions of a sweep at their next paid LM call.

    Dask cannot interrupt what runs; an LM call in flight is finished and kept.
    """
    _stopped_sweeps.add(sweep)
    stop_requested.set()
    for meter in meters_in_use():
        meter.stopped = meter.stopped or Interrupted()
