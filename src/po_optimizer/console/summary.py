"""What a user reads at the end of a run: scores with n, and where everything lies."""

import logging
import sys
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from rich.console import Console
from rich.table import Table

from po_optimizer.errors import listed, refusal
from po_optimizer.lms.visible import visible, visible_data
from po_optimizer.optimization import Forecast

logger = logging.getLogger(__name__)

_namespace: ContextVar[str] = ContextVar("po_node_namespace", default="")

_FILES = {
    "data_report": "data report",
    "candidate_program": "candidate program",
    "optimized_program": "program",
    "report": "report",
    "ranking_page": "ranking",
    "ranking_table": "as a table",
    "metric_report": "metric report",
    "product_vision": "product vision",
    "product_owner_review": "review",
}


class _Named(logging.Filter):
    """Puts the namespace of the node before each line that it logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True; the record's message is changed once."""
        name = _namespace.get()
        if name and not hasattr(record, "named"):
            record.msg, record.named = f"{name}: {record.msg}", True
        return True


def name_log_lines(namespace: str) -> None:
    """Log lines from here on say that they are about this namespace; "": none.

    It holds for this thread and what it starts with its context: of several
    optimizations at a time each has its own.
    """
    _namespace.set(namespace)
    for handler in logging.getLogger("po_optimizer").handlers:
        if not any(isinstance(each, _Named) for each in handler.filters):
            handler.addFilter(_Named())


class _Visible(logging.Filter):
    """Spells out what would steer the terminal that shows a line, or its log file."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True; message and traceback of the record are changed once."""
        with suppress(TypeError, ValueError, KeyError):  # logging says so itself
            message = record.getMessage()
            if (shown := visible(message)) != message:
                record.msg, record.args = shown, None
        if record.exc_info and not record.exc_text:
            trace = logging.Formatter().formatException(record.exc_info)
            record.exc_text = visible(trace)
        return True


def escape_logs() -> None:
    """No handler that is configured passes on what others sent as it is."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            if not any(isinstance(each, _Visible) for each in handler.filters):
                handler.addFilter(_Visible())


class _LostLog:
    """Says once that a log file cannot be written; logging shows a traceback a line."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._told = False

    def __call__(self, record: logging.LogRecord) -> None:
        """Takes the place of the handler's `handleError`, in its `except` block."""
        if self._told:
            return
        self._told = True
        error = sys.exc_info()[1]
        problem = refusal(error) if isinstance(error, OSError) else error
        words = "the log %s cannot be written: %s. The run goes on without it."
        logger.warning(words, self._path, problem)


def tolerate_log_failure() -> None:
    """A log file that cannot be written costs one warning."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            with suppress(OSError):  # told when the first line is lost
                Path(handler.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            told = _LostLog(handler.baseFilename)
            handler.handleError = told  # type: ignore[method-assign]


def warn_of_what_stands(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
    """Says of `--only-missing-outputs` what it does not do, before Kedro filters."""
    stored = [name for name in pipeline.all_outputs() if name in catalog]
    missing = sorted(name for name in stored if not catalog.exists(name))
    what = f"only what makes {listed(missing)} is run" if missing else "nothing is run"
    logger.warning(
        "--only-missing-outputs asks whether outputs exist, not whether parameters, "
        "data or code changed since: %s, everything else stands as it was made. To "
        "make it anew, run without it.",
        what,
    )


def show_summary(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
    """Prints what this run made; says nothing of stages that it did not have."""
    console = Console(soft_wrap=True, markup=False)  # answers hold square brackets

    def load(name: str) -> Any:
        return visible_data(catalog.load(name))

    made = pipeline.all_outputs()
    if "score_report" in made:
        _show_scores(console, load("score_report"), load("promotion"))
    if "ranking" in made:
        _show_ranking(console, load("ranking"))
    if "metric_report" in made:
        _show_families(console, load("metric_report"))
    if "forecast" in made and "trials" not in made:
        forecast = Forecast.model_validate(load("forecast"))
        console.print(forecast.describe(), highlight=False)
    if "integration_report" in made:
        _show_integration(console, load("integration_report"))
    for name, label in _FILES.items():
        if name in made:
            console.print(f"{label:>18}: {_path(catalog, name)}", highlight=False)


def _show_scores(
    console: Console, report: dict[str, Any], promotion: dict[str, Any]
) -> None:
    table = Table(title="Scores on the testset, in [0, 1], higher is better")
    for column in ("program", "objective", "rubric", "n", "failed", "unscored"):
        table.add_column(column, justify="left" if column == "program" else "right")
    for which in ("baseline", "champion", "optimized", "reference"):
        if report.get(which) is not None:
            table.add_row(*_row(which, report[which]))
    console.print(table)
    console.print(f"decision: {promotion['decision']}", style="bold")
    for reason in promotion["reasons"]:
        console.print(f"  {reason}", highlight=False)


def _show_families(console: Console, report: dict[str, Any]) -> None:
    table = Table(title=f"{report['metric']}: scores in [0, 1], higher is better")
    for column in ("outputs", "n", "lowest", "mean", "highest", "below reference"):
        table.add_column(column, justify="left" if column == "outputs" else "right")
    for family in report["families"]:
        figures = (family[name] for name in ("lowest", "mean", "highest"))
        shown = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        share = family["below_reference"]
        noticed = "-" if share is None else f"{share:.0%}"
        table.add_row(family["name"], str(family["n"]), *shown, noticed)
    console.print(table)
    for family in report["families"]:
        if family.get("n_raised"):
            console.print(f"{family['name']}: {family['note']}", highlight=False)


def _show_ranking(console: Console, ranking: dict[str, Any]) -> None:
    title = f"Objective on the testset, {ranking['confidence']:.1%} intervals"
    table = Table(title=title)
    for column in ("run", "n", "baseline", "optimized", "decision", "s per example"):
        table.add_column(column, justify="left" if column[0] in "rd" else "right")
    for run in ranking["runs"]:
        seconds = run["seconds_per_example"]
        table.add_row(
            run["name"] if run["ranked"] else f"{run['name']} (not ranked)",
            str(run["optimized"]["n"]),
            _with_interval(run["baseline"]),
            _with_interval(run["optimized"]),
            run["decision"] or "-",
            "unknown" if seconds is None else f"{seconds:.1f}",
        )
    console.print(table)
    for sentence in ranking["sentences"]:
        console.print(sentence, highlight=False)


def _row(which: str, program: dict[str, Any]) -> list[str]:
    names = {"reference": "reference outputs (ceiling)", "champion": "promoted before"}
    name = names.get(which, which)
    rubric = program["rubric"]
    return [
        name,
        _with_interval(program["score"]),
        _with_interval(rubric) if rubric else "-",
        str(program["score"]["n"]),
        str(program["n_failed"]),
        str(program["n_unscored"]),
    ]


def _with_interval(estimate: dict[str, Any]) -> str:
    if estimate["mean"] is None:
        return "-"
    interval = estimate.get("interval")
    mean = f"{estimate['mean']:.3f}"
    if not interval:
        return mean
    return f"{mean} ({interval['low']:.3f} to {interval['high']:.3f})"


def _show_integration(console: Console, report: dict[str, Any]) -> None:
    console.print(f"verdict: {report['status']}", style="bold")
    console.print(
        f"  by the {report['program']} program ({report['reason']})", highlight=False
    )
    for conflict in report["conflicts"]:
        console.print(f"  conflict: {conflict}", highlight=False)


def _path(catalog: CatalogProtocol[Any, Any], name: str) -> str:
    dataset = catalog.get(name)
    path = getattr(dataset, "_filepath", None)
    version = getattr(dataset, "resolve_load_version", None)
    if path is None:
        return "?"
    path = Path(str(path))
    if version is not None and getattr(dataset, "_version", None):
        path = path / str(version()) / path.name
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
