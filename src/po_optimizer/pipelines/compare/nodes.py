"""Nodes of compare: what runs have left, ranked."""

from typing import Any

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.ranking import FinishedRun, Ranking, rank
from po_optimizer.reporting.ranking_page import (
    ranking_figure,
    ranking_page,
    ranking_table,
)


def rank_runs(
    finished_runs: list[FinishedRun],
    sweep_report: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Every run, ranked where they may be compared.

    Args:
        finished_runs: Of LMs and sweeps.
        sweep_report: Of the sweep that made some of them just now.

    Raises:
        PoOptimizerError: No run has left a score report.
    """
    if not finished_runs:
        raise PoOptimizerError(
            "compare: no score report is stored below data/08_reporting. Make one for "
            "each LM: kedro run --pipeline=evaluate --env=<environment>"
        )
    return rank(finished_runs).model_dump(mode="json")


def show_ranking(ranking: dict[str, Any]) -> dict[str, Any]:
    """The table as CSV, one self-contained page, and its figure for kedro-viz."""
    checked = Ranking.model_validate(ranking)
    return {
        "ranking_table": ranking_table(checked),
        "ranking_page": ranking_page(checked),
        "ranking_figure": ranking_figure(checked),
    }
