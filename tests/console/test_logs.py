"""Where log lines go, wherever a command is typed."""

import logging
import signal
import sys

import pytest
from kedro.framework.project import LOGGING, configure_logging

from po_optimizer.console import logs
from po_optimizer.console.logs import ConsoleHandler, use_console, use_project_logging

SETTINGS = """
version: 1
disable_existing_loggers: false
handlers:
  file: {class: logging.FileHandler, filename: data/run.log, delay: true}
loggers:
  of_the_project: {level: WARNING, handlers: [file]}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a subfolder, in which we are; logging is as before afterwards."""
    before, root = dict(LOGGING), list(logging.getLogger().handlers)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/logging.yml").write_text(SETTINGS)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    yield tmp_path
    configure_logging(before)
    logging.getLogger().handlers[:] = root


def files():
    """The log files of the project's logger."""
    handlers = logging.getLogger("of_the_project").handlers
    return [handler.baseFilename for handler in handlers]


def test_subfolder_has_the_projects_logging(project):
    """Kedro looks below the working directory alone; the log lies in the project."""
    use_project_logging(project)
    assert files() == [str(project / "data/run.log")]


@pytest.mark.parametrize("mine", [True, False])
def test_logging_that_kedro_read_stays(project, monkeypatch, mine):
    """A file that a variable names, or one in the working directory."""
    logging.getLogger("of_the_project").handlers.clear()
    if mine:
        monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "mine.yml")
    else:
        monkeypatch.chdir(project)
    use_project_logging(project)
    assert files() == []


class Console:
    """A console whose output is gone."""

    is_terminal = False

    def __init__(self, error):
        self.error = error

    def print(self, *_args, **_options):
        """Raises."""
        raise self.error


@pytest.fixture
def gone(monkeypatch):
    """Makes the standard output raise."""
    return lambda error: monkeypatch.setattr(
        logs, "get_console", lambda: Console(error)
    )


def test_output_that_nobody_reads_ends_the_run_in_order(gone, monkeypatch):
    """As Ctrl-C does; rich leaves at once, in whichever thread logs (`| head`)."""
    gone(SystemExit(1))
    signals = []
    earlier = signal.signal(signal.SIGINT, lambda number, _: signals.append(number))
    ConsoleHandler().handle(logging.makeLogRecord({"msg": "a line"}))
    signal.signal(signal.SIGINT, earlier)
    assert signals == [signal.SIGINT]


def test_output_that_cannot_be_written_costs_a_warning(gone, caplog, monkeypatch):
    """The run goes on; logging would show a traceback for each line."""
    gone(OSError(28, "No space left on device"))
    ours = logging.getLogger("po_optimizer")
    monkeypatch.setattr(ours, "handlers", [caplog.handler])
    logger = logging.getLogger("of_a_full_disk")
    logger.addHandler(logging.StreamHandler(sys.stdout))
    use_console()
    (handler,) = logger.handlers
    logger.removeHandler(handler)
    caplog.clear()
    for _ in range(2):
        handler.handle(logging.makeLogRecord({"msg": "a line"}))
    lost = "standard output cannot be written: No space left on device"
    assert sum(lost in message for message in caplog.messages) == 1
