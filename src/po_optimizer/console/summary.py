"""What a user reads at the end of a run: scores with n, and where everything lies."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from rich.console import Console
from rich.table import Table

from po_optimizer.errors import listed
from po_optimizer.lms.visible import visible_data
from po_optimizer.optimization import Forecast

logger = logging.getLogger(__name__)

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
_PROGRAMS = {
    "baseline": "baseline",
    "champion": "promoted before",
    "optimized": "optimized",
    "reference": "reference outputs (ceiling)",
}


def warn_of_kept_outputs(
    pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
) -> None:
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
    # answers hold square brackets
    console = Console(soft_wrap=True, markup=False, highlight=False)

    def load(name: str) -> Any:
        return visible_data(catalog.load(name))

    outputs = pipeline.all_outputs()
    if "score_report" in outputs:
        _show_scores(console, load("score_report"), load("promotion"))
    if "ranking" in outputs:
        _show_ranking(console, load("ranking"))
    if "metric_report" in outputs:
        _show_families(console, load("metric_report"))
    if "forecast" in outputs and "trials" not in outputs:
        console.print(Forecast.model_validate(load("forecast")).describe())
    if "integration_report" in outputs:
        _show_integration(console, load("integration_report"))
    for name, label in _FILES.items():
        if name in outputs:
            console.print(f"{label:>18}: {_path(catalog, name)}")


def _show_table(
    console: Console, title: str, columns: Iterable[str], rows: Iterable[list[str]]
) -> None:
    """A table whose texts stand left and whose numbers stand right.

    Args:
        console: Where it is shown.
        title: Above it: what the numbers are, their range and direction.
        columns: Names; one that ends in `:` holds texts.
        rows: A cell for each column.
    """
    table = Table(title=title)
    for name in columns:
        table.add_column(
            name.rstrip(":"), justify="left" if name.endswith(":") else "right"
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _show_scores(
    console: Console, report: dict[str, Any], promotion: dict[str, Any]
) -> None:
    title = "Scores on the testset, in [0, 1], higher is better"
    columns = ("program:", "objective", "rubric", "n", "failed", "unscored")
    rows = [_row(which, report[which]) for which in _PROGRAMS if report.get(which)]
    _show_table(console, title, columns, rows)
    console.print(f"decision: {promotion['decision']}", style="bold")
    for reason in promotion["reasons"]:
        console.print(f"  {reason}")


def _show_families(console: Console, report: dict[str, Any]) -> None:
    title = f"{report['metric']}: scores in [0, 1], higher is better"
    columns = ("outputs:", "n", "lowest", "mean", "highest", "below reference")
    rows = []
    for family in report["families"]:
        figures = [family[name] for name in ("lowest", "mean", "highest")]
        share = family["below_reference"]
        cells = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        below = "-" if share is None else f"{share:.0%}"
        rows.append([family["name"], str(family["n"]), *cells, below])
    _show_table(console, title, columns, rows)
    for family in report["families"]:
        if family.get("n_raised"):
            console.print(f"{family['name']}: {family['note']}")


def _show_ranking(console: Console, ranking: dict[str, Any]) -> None:
    title = f"Objective on the testset, {ranking['confidence']:.1%} intervals"
    columns = ("run:", "n", "baseline", "optimized", "decision:", "s per example")
    rows = []
    for run in ranking["runs"]:
        seconds = run["seconds_per_example"]
        rows.append(
            [
                run["name"] if run["ranked"] else f"{run['name']} (not ranked)",
                str(run["optimized"]["n"]),
                _with_interval(run["baseline"]),
                _with_interval(run["optimized"]),
                run["decision"] or "-",
                "unknown" if seconds is None else f"{seconds:.1f}",
            ]
        )
    _show_table(console, title, columns, rows)
    for sentence in ranking["sentences"]:
        console.print(sentence)


def _row(which: str, program: dict[str, Any]) -> list[str]:
    rubric = program["rubric"]
    return [
        _PROGRAMS[which],
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
    if report.get("trust"):
        console.print(f"  {report['trust']}", style="yellow")
    console.print(f"  by the {report['program']} program ({report['reason']})")
    for conflict in report["conflicts"]:
        console.print(f"  conflict: {conflict}")


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
