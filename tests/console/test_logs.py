"""Where log lines go, wherever a command is typed."""

import logging

import pytest
from kedro.framework.project import LOGGING, configure_logging

from po_optimizer.console.logs import use_project_logging

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
