"""Nodes of compare: what runs have left, side by side."""

from typing import Any

import plotly.graph_objects as go

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.comparison import (
    QUOTED_SECONDS,
    Comparison,
    Duration,
    Row,
    compare_lms,
    comparison_figure,
    comparison_table,
    price_figure,
)
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.lms import MeanUsage, Usage
from po_optimizer.optimization.optimizers import PerRun, Sizes, make_optimizer
from po_optimizer.params import OptimizeParams
from po_optimizer.reporting.page import comparison_page

SIZES = {60: (38, 22), 142: (91, 51)}
"""Examples of an optimization: trainset and valset, in the original run's 60 to 34."""


def compare_runs(
    finished_runs: list[dict[str, Any]], optimize: OptimizeParams
) -> dict[str, Any]:
    """The rows of every LM, ranked where they may be.

    Raises:
        PoOptimizerError: No run has left a score report.
    """
    if not finished_runs:
        raise PoOptimizerError(
            "compare: no score report is stored below data/08_reporting. Make one for "
            "each LM: kedro run --pipeline=evaluate --env=<environment>"
        )
    rows = [_row(run, optimize) for run in finished_runs]
    return compare_lms(rows).model_dump(mode="json")


def draw_comparison(comparison: dict[str, Any]) -> dict[str, go.Figure]:
    """Objectives with intervals, and against the seconds that they cost."""
    found = Comparison.model_validate(comparison)
    return {
        "comparison_figure": comparison_figure(found),
        "price_figure": price_figure(found),
    }


def write_comparison(comparison: dict[str, Any]) -> tuple[str, str]:
    """The table as CSV and the whole comparison as one self-contained page."""
    found = Comparison.model_validate(comparison)
    return comparison_table(found), comparison_page(found)


def _row(run: dict[str, Any], optimize: OptimizeParams) -> Row:
    report = ScoreReport.model_validate(run["score_report"])
    search = run["optimization_report"]
    predictors = len(search["instructions"]) if search else 1
    # a baseline that stayed the best is answered from the cache the second time
    each = _per_call(run, "evaluate optimized") or _per_call(run, "evaluate baseline")

    def per_example(of_a_call: float | None) -> float | None:
        return None if of_a_call is None else predictors * of_a_call

    cost = per_example(each.cost_usd) if each else None
    seconds = report.optimized.seconds_per_example
    return Row(
        lm=run["lm"],
        program_of=run["program_of"],
        origin=report.origin,
        baseline=report.baseline.score,
        optimized=report.optimized.score,
        baseline_rubric=report.baseline.rubric,
        rubric=report.optimized.rubric,
        uplift=report.uplift.score,
        decision=run["promotion"]["decision"] if run["promotion"] else None,
        seconds_per_example=seconds or (per_example(each.seconds) if each else None),
        quoted_seconds=QUOTED_SECONDS.get(run["lm"]),
        tokens_per_example=per_example(each.tokens) if each else None,
        cost_per_1000=None if cost is None else 1000 * cost,
        durations=_durations(run, optimize, predictors),
    )


def _per_call(run: dict[str, Any], stage: str) -> MeanUsage | None:
    calls = run["calls"].get(stage)
    return Usage.model_validate(calls).per_call() if calls else None


def _durations(
    run: dict[str, Any], optimize: OptimizeParams, predictors: int
) -> list[Duration]:
    """Wall time of each of SIZES: measured if it was run to its end, else forecast."""
    search, each = run["optimization_report"], _per_call(run, "optimize")
    if search is None or each is None:
        return []
    splits = run["splits"] or {}
    ran = splits.get("trainset", 0) + splits.get("valset", 0)
    forecast = search["forecast"] or {}
    threads, per_run = forecast.get("num_threads", 1), forecast.get("per_run")
    found = []
    for examples, (train, val) in SIZES.items():
        if ran == examples and search["ended"] == "completed":
            took, basis = search["seconds"], "measured"
        else:
            probed = PerRun.model_validate(per_run) if per_run else None
            sizes = Sizes(predictors, train, val, probed)
            expected = make_optimizer(optimize).calls(sizes)
            parallel = expected.task.upper / threads + expected.prompt.upper
            took, basis = parallel * each.seconds, "forecast"
        found.append(Duration(examples=examples, seconds=took, basis=basis))
    return found
