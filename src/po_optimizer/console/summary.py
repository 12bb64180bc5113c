"""What a user reads at the end of a run: the result, why, its price, what is next."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from po_optimizer.console.live import cost, minutes
from po_optimizer.console.next_step import Invocation, program
from po_optimizer.console.start import BEGUN
from po_optimizer.errors import listed
from po_optimizer.evaluation.estimates import Estimate
from po_optimizer.evaluation.promotion import Promotion
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.lms.usage import Usage
from po_optimizer.lms.visible import visible_data
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.params.project import PredictParams, RoleParams
from po_optimizer.reporting.verdict import headline

logger = logging.getLogger(__name__)

_LMS = ("task_lm", "prompt_lm")
_FILES = {
    "data_report": "data report",
    "candidate_program": "candidate program",
    "optimized_program": "program",
    "prompt_diff": "prompts",
    "report": "report",
    "ranking_page": "ranking",
    "ranking_table": "as a table",
    "metric_report": "metric report",
    "answers": "answers",
    "product_vision": "product vision",
    "product_owner_review": "review",
}
_PROGRAMS = {
    "baseline": "baseline",
    "champion": "promoted before",
    "optimized": "optimized",
    "reference": "reference outputs",
}


def warn_of_kept_outputs(
    pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
) -> None:
    """Warns that `--only-missing-outputs` does not notice changes."""
    stored = [name for name in pipeline.all_outputs() if name in catalog]
    missing = sorted(name for name in stored if not catalog.exists(name))
    what = f"only what makes {listed(missing)} is run" if missing else "nothing is run"
    logger.warning(
        "--only-missing-outputs asks whether outputs exist, not whether parameters, "
        "data or code changed since: %s, everything else stands as it was made. To "
        "make it anew, run without it.",
        what,
    )


class Page:
    """Prints folded at words on a terminal, in whole lines and without boxes elsewhere.

    Args:
        console: Where it is shown; None: stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        # answers hold square brackets
        self._console = console or Console(markup=False, highlight=False)

    def text(self, text: str, style: str = "", *, whole: bool = False) -> None:
        """A paragraph; a whole one is never folded, so that it can be copied."""
        unfolded = whole or not self._console.is_terminal
        self._console.print(Text(text, style), soft_wrap=unfolded)

    def table(self, columns: Iterable[str], rows: Iterable[list[str]]) -> None:
        """A table whose texts stand left and whose numbers stand right.

        Args:
            columns: Names; one that ends in `:` holds texts.
            rows: A cell for each column.
        """
        terminal = self._console.is_terminal
        table = Table(box=SIMPLE_HEAD if terminal else None, pad_edge=False)
        for name in columns:
            side = "left" if name.endswith(":") else "right"
            table.add_column(name.rstrip(":"), justify=side, overflow="fold")  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*row)
        if terminal:
            self._console.print(table)
            return
        wide = Console(width=1000, markup=False, highlight=False)
        with wide.capture() as capture:
            wide.print(table)
        for line in capture.get().splitlines():
            self.text(line.rstrip())


def show_summary(
    pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], invocation: Invocation
) -> None:
    """Prints what this run made; says nothing of stages that it did not have."""
    page, outputs = Page(), pipeline.all_outputs()

    def load(name: str) -> Any:
        return visible_data(catalog.load(name))

    for names, show in _PARTS.items():
        if outputs.issuperset(names):
            show(page, *map(load, names))
    if "forecast" in outputs and "trials" not in outputs:
        page.text(Forecast.model_validate(load("forecast")).describe())
    if "choice" in outputs:
        choice = load("choice")
        why = "" if "score_report" in outputs else f": {choice['reason']}"
        page.text(f"made by the {choice['program']} program{why}")
    _show_usage(page, pipeline, catalog)
    for name, label in _FILES.items():
        if name in outputs:
            page.text(f"{label:>17}: {_path(catalog, name)}", whole=True)
    for what, command in _next(pipeline, catalog, invocation):
        page.text(f"{what:>17}: {command}", whole=True)


def _show_usage(
    page: Page, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
) -> None:
    """What the LM calls of this run took, if it has an LM."""
    meters = [catalog.load(name).meter for name in _LMS if name in pipeline.inputs()]
    ledgers = {meter.ledger.path: meter for meter in meters}.values()
    if not ledgers:
        return
    totals = [meter.ledger.totals(run_id=meter.run_id) for meter in ledgers]
    usage = sum(totals, Usage())
    kept = f", {usage.cached} more from kept answers" if usage.cached else ""
    page.text(
        f"took {minutes(time.monotonic() - BEGUN)}: {usage.paid} LM calls{kept}, "
        f"{usage.tokens:,} tokens, {cost(usage)}"
    )


def _next(
    pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], invocation: Invocation
) -> Iterator[tuple[str, str]]:
    """The usual next steps, each with its command."""
    outputs = pipeline.all_outputs()
    if "report" in outputs:
        yield "read it", f"{program('po-optimizer')} open"
        if "choice" not in outputs and "context" in catalog:
            yield "use it", _use(catalog, invocation)
        return
    followers = {
        "optimized_program": "--pipeline=evaluate",
        "trials": "--pipeline=evaluate",
        "forecast": "",
        "data_report": "--pipeline=forecast",
    }
    for output, option in followers.items():
        if output in outputs:
            yield "next", invocation.command(*filter(None, [option]))
            return


def _use(catalog: CatalogProtocol[Any, Any], invocation: Invocation) -> str:
    """The command that runs the chosen program, here on the role's own records."""
    role = RoleParams.model_validate(catalog.load("params:role"))
    if role.integration:
        return invocation.command("--pipeline=integrate")
    predict = PredictParams.model_validate(catalog.load("params:predict"))
    if predict.inputs:
        return invocation.command("--pipeline=predict")
    records = _path(catalog, "raw_records")
    return invocation.command("--pipeline=predict", predict__inputs=records)


def _show_scores(page: Page, report: dict[str, Any], promotion: dict[str, Any]) -> None:
    decision = Promotion.model_validate(promotion)
    scores = ScoreReport.model_validate(report)
    proven = decision.decision == "promote"
    page.text(f"\n{headline(scores, decision)}.", "bold green" if proven else "bold")
    programs = {
        label: report[which] for which, label in _PROGRAMS.items() if report[which]
    }
    columns = {
        "score": [_with_interval(program["score"]) for program in programs.values()],
        "rubric": [_with_interval(program["rubric"]) for program in programs.values()],
        "n": [str(program["score"]["n"]) for program in programs.values()],
        "failed": [str(program["n_failed"]) for program in programs.values()],
        "unscored": [str(program["n_unscored"]) for program in programs.values()],
    }
    optional = {"rubric": "-", "unscored": "0"}
    differing = {n: c for n, c in columns.items() if {*c} != {optional.get(n)}}
    page.table(
        ("program:", *differing), zip(programs, *differing.values(), strict=True)
    )
    page.text(
        "scores on the testset, 0 to 1, higher is better, with "
        f"{scores.confidence:.0%} intervals",
        "dim",
    )
    page.text(f"decision: {decision.decision}")
    for reason in decision.reasons:
        page.text(f"- {reason}")


def _show_prompts(page: Page, lines: list[str]) -> None:
    for line in lines:
        page.text(line)


def _show_families(page: Page, report: dict[str, Any]) -> None:
    page.text(f"{report['metric']}: scores in [0, 1], higher is better")
    columns = ("outputs:", "n", "lowest", "mean", "highest", "below reference")
    rows = []
    for family in report["families"]:
        figures = [family[name] for name in ("lowest", "mean", "highest")]
        share = family["below_reference"]
        cells = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        below = "-" if share is None else f"{share:.0%}"
        rows.append([family["name"], str(family["n"]), *cells, below])
    page.table(columns, rows)
    for family in report["families"]:
        if family.get("n_raised"):
            page.text(f"{family['name']}: {family['note']}")


def _show_ranking(page: Page, ranking: dict[str, Any]) -> None:
    page.text(f"score on the testset, {100 * ranking['confidence']:.3g}% intervals")
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
    page.table(columns, rows)
    for sentence in ranking["sentences"]:
        page.text(sentence)


def _with_interval(estimate: dict[str, Any] | None) -> str:
    if not estimate:
        return "-"
    return Estimate.model_validate(estimate).describe(limit=".2f")


def _show_integration(page: Page, report: dict[str, Any]) -> None:
    page.text(f"verdict: {report['status']}", "bold")
    if report.get("trust"):
        page.text(report["trust"], "yellow")
    for conflict in report["conflicts"]:
        page.text(f"- conflict: {conflict}")


def _show_answers(page: Page, report: dict[str, Any]) -> None:
    page.text(f"{report['n']} answers, {report['n_failed']} failed", "bold")


_PARTS: dict[tuple[str, ...], Callable[..., None]] = {
    ("score_report", "promotion"): _show_scores,
    ("prompt_changes",): _show_prompts,
    ("ranking",): _show_ranking,
    ("metric_report",): _show_families,
    ("integration_report",): _show_integration,
    ("prediction_report",): _show_answers,
}
"""What is shown of which outputs, in this order."""


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
