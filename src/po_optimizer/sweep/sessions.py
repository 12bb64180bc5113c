"""What happens on a worker: sessions run, and end when they must."""

import logging
import os
import signal
import time
import traceback
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import rich
from distributed import Worker, WorkerPlugin
from kedro.framework import project

from po_optimizer.console.logs import name_log_lines
from po_optimizer.console.messages import explain
from po_optimizer.errors import ExecutionStopError
from po_optimizer.lms.embedded.server import stop_servers
from po_optimizer.lms.meter import meters_in_use
from po_optimizer.lms.stops import Interrupted, StopRun, stop_requested
from po_optimizer.sweep.tasks import SessionTask

logger = logging.getLogger(__name__)
_stopped_sweeps: set[str] = set()  # in this worker process


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
