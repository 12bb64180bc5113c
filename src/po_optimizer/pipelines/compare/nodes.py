"""Nodes of compare: what runs have left, ranked."""

from typing import Any

import plotly.graph_objects as go

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.ranking import Duration, FinishedRun, Ranking, rank
from po_optimizer.optimization.optimizers import PerRun, Sizes, make_optimizer
from po_optimizer.params import OptimizeParams
from po_optimizer.reporting.ranking_page import (
    price_figure,
    ranking_figure,
    ranking_page,
    ranking_table,
)

SIZES = {60: (38, 22), 142: (91, 51)}
"""Examples of an optimization: trainset and valset, in the original run's 60 to 34."""


def rank_runs(
    finished_runs: list[FinishedRun],
    optimize: OptimizeParams,
    sweep_report: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Every run, ranked where they may be compared.

    Args:
        finished_runs: Of LMs and sweeps.
        optimize: For the forecast of optimizations of other sizes.
        sweep_report: Of the sweep that made some of them just now.

    Raises:
        PoOptimizerError: No run has left a score report.
    """
    if not finished_runs:
        raise PoOptimizerError(
            "compare: no score report is stored below data/08_reporting. Make one for "
            "each LM: kedro run --pipeline=evaluate --env=<environment>"
        )
    durations = {run.name: _durations(run, optimize) for run in finished_runs}
    return rank(finished_runs, durations).model_dump(mode="json")


def draw_ranking(ranking: dict[str, Any]) -> dict[str, go.Figure]:
    """Objectives with intervals, and against the seconds that they cost."""
    checked = Ranking.model_validate(ranking)
    return {
        "ranking_figure": ranking_figure(checked),
        "price_figure": price_figure(checked),
    }


def write_ranking(ranking: dict[str, Any]) -> tuple[str, str]:
    """The table as CSV and the whole ranking as one self-contained page."""
    checked = Ranking.model_validate(ranking)
    return ranking_table(checked), ranking_page(checked)


def _durations(run: FinishedRun, optimize: OptimizeParams) -> list[Duration]:
    """Wall time of each of SIZES: measured if it was run to its end, else forecast."""
    search, call = run.search, run.per_call("optimize")
    if search is None or call is None:
        return []
    n_examples = run.splits.get("trainset", 0) + run.splits.get("valset", 0)
    forecast = search["forecast"] or {}
    threads, per_run = forecast.get("num_threads", 1), forecast.get("per_run")
    probed = PerRun.model_validate(per_run) if per_run else None
    durations = []
    for examples, (train, val) in SIZES.items():
        if n_examples == examples and search["ended"] == "completed":
            seconds, basis = search["seconds"], "measured"
        else:
            sizes = Sizes(run.n_predictors, train, val, probed)
            calls = make_optimizer(optimize).calls(sizes)
            parallel = calls.task.upper / threads + calls.prompt.upper
            seconds, basis = parallel * call.seconds, "forecast"
        durations.append(Duration(examples=examples, seconds=seconds, basis=basis))
    return durations
