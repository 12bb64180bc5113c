"""Log lines that say what they are about and steer no terminal; a lost log file."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.project import LOGGING, configure_logging
from kedro.utils import find_config_file
from rich import get_console
from rich.text import Text

from po_optimizer.errors import refusal
from po_optimizer.lms.visible import visible

logger = logging.getLogger(__name__)

_CONFIG = "conf/logging"
_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_subject: ContextVar[str] = ContextVar("po_log_subject", default="")


def _name(record: logging.LogRecord) -> bool:
    subject = _subject.get()
    if subject and not hasattr(record, "named"):
        record.msg, record.named = f"{subject}: {record.msg}", True
    return True


@contextmanager
def name_log_lines(subject: str) -> Iterator[None]:
    """Log lines of the block begin with their subject.

    Of several optimizations at a time each has its own context.
    """
    token = _subject.set(subject)
    for handler in logging.getLogger("po_optimizer").handlers:
        handler.addFilter(_name)
    try:
        yield
    finally:
        _subject.reset(token)


class ConsoleHandler(logging.Handler):
    """Lines folded at words above a live display; unbroken ones in a file or a pipe."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the record."""
        console = get_console()
        try:
            text = Text(self.format(record), _STYLES.get(record.levelname, ""))
            console.print(text, soft_wrap=not console.is_terminal)
        except SystemExit:  # of rich, when nobody reads on (`| head`): end in order
            signal.raise_signal(signal.SIGINT)
        except (OSError, ValueError):
            self.handleError(record)


def use_project_logging(project: Path) -> None:
    """Configures logging as `conf/logging.yml` says, from a subfolder, too.

    Kedro looks for the file, and keeps the log, below the working directory.
    """
    config = find_config_file(str(project / _CONFIG))
    by_kedro = os.environ.get("KEDRO_LOGGING_CONFIG") or find_config_file(_CONFIG)
    if config is None or by_kedro:
        return
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    for handler in settings.get("handlers", {}).values():
        if "filename" in handler:
            handler["filename"] = str(project / handler["filename"])
    if settings != LOGGING:  # of an earlier run of this process
        configure_logging(settings)


def use_console() -> None:
    """Sends what the configuration logs to stdout through the terminal's display."""
    logging.captureWarnings(True)
    for configured in (logging.getLogger(name) for name in ("", *_configured())):
        for handler in list(configured.handlers):
            if type(handler) is logging.StreamHandler and handler.stream is sys.stdout:
                ours = ConsoleHandler(handler.level)
                ours.setFormatter(handler.formatter)
                _warn_once_of(ours, "standard output")
                configured.removeHandler(handler)
                configured.addHandler(ours)


def show_examples() -> None:
    """A line for each example, too: `kedro run -v`."""
    ours = logging.getLogger("po_optimizer")
    ours.setLevel(logging.DEBUG)
    for handler in ours.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.DEBUG)


def _escape(record: logging.LogRecord) -> bool:
    """Spells out what would steer the terminal that shows a line, or its log file."""
    with suppress(TypeError, ValueError, KeyError):  # logging says so itself
        message = record.getMessage()
        if (escaped := visible(message)) != message:
            record.msg, record.args = escaped, None
    if record.exc_info and not record.exc_text:
        trace = logging.Formatter().formatException(record.exc_info)
        record.exc_text = visible(trace)
    return True


def escape_logs() -> None:
    """Makes every configured handler escape control characters in its lines."""
    for name in ("", *_configured()):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_escape)


def _configured() -> list[str]:
    """The names of all loggers that were configured or used."""
    loggers = logging.Logger.manager.loggerDict
    return [name for name, of in loggers.items() if isinstance(of, logging.Logger)]


def _warn_once_of(handler: Any, name: str) -> None:
    """Replaces a handler's `handleError`, which traces each line's loss."""

    def warn(_record: logging.LogRecord) -> None:
        handler.handleError = lambda record: None
        error = sys.exc_info()[1]
        problem = refusal(error) if isinstance(error, OSError) else error
        text = "%s cannot be written: %s. The run goes on without it."
        logger.warning(text, name, problem)

    handler.handleError = warn


def tolerate_log_failure() -> None:
    """Makes a log file that cannot be written cost one warning, no traceback."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            with suppress(OSError):  # warned of when the first line is lost
                Path(handler.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            _warn_once_of(handler, f"the log {handler.baseFilename}")
