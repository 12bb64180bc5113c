"""Nodes of compare: what runs have left, ranked."""

from typing import Any

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.ranking import FinishedRun, Ranking, rank
from po_optimizer.reporting.ranking_page import (
    price_figure,
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


def draw_ranking(ranking: dict[str, Any]) -> dict[str, Any]:
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
