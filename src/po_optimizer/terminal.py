"""What a user reads at the end of a run: scores with n, and where everything lies."""

from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from rich.console import Console
from rich.table import Table

from po_optimizer.optimization import Forecast

_FILES = {
    "data_report": "data report",
    "candidate_program": "candidate program",
    "optimized_program": "program",
    "report": "report",
    "metric_report": "metric report",
    "product_vision": "product vision",
    "product_owner_review": "review",
}


def show_summary(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
    """Prints what this run made; says nothing of stages that it did not have."""
    console = Console(soft_wrap=True)
    made = pipeline.all_outputs()
    if "score_report" in made:
        _show_scores(console, catalog.load("score_report"), catalog.load("promotion"))
    if "metric_report" in made:
        _show_families(console, catalog.load("metric_report"))
    if "forecast" in made and "trials" not in made:
        forecast = Forecast.model_validate(catalog.load("forecast"))
        console.print(forecast.in_words(), highlight=False)
    if "integration_report" in made:
        _show_integration(console, catalog.load("integration_report"))
    for name, label in _FILES.items():
        if name in made:
            console.print(f"{label:>18}: {_path(catalog, name)}", highlight=False)


def _show_scores(
    console: Console, report: dict[str, Any], promotion: dict[str, Any]
) -> None:
    table = Table(title="Scores on the testset, in [0, 1], higher is better")
    for column in ("program", "objective", "rubric", "n", "failed", "unscored"):
        table.add_column(column, justify="left" if column == "program" else "right")
    for which in ("baseline", "optimized", "reference"):
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


def _row(which: str, program: dict[str, Any]) -> list[str]:
    name = "reference outputs (ceiling)" if which == "reference" else which
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
        console.print(f"  conflict: {conflict}", highlight=False, markup=False)


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
