"""Nodes of the sweep: rank what the configurations reached."""

from typing import Any

import plotly.graph_objects as go

from po_optimizer.evaluation.leaderboard import (
    Finished,
    Leaderboard,
    leaderboard_figure,
    rank,
)

_FROM_EACH = 4


def rank_configurations(
    configurations: list[dict[str, Any]], *collected: Any
) -> dict[str, Any]:
    """The configurations by their testset scores, and whether the best one is better.

    Args:
        configurations: Their names, in the order of `collected`.
        collected: Of each: score report, promotion, optimization report, predictions
            of the optimized program.
    """
    finished = {}
    for place, configuration in enumerate(configurations):
        start = place * _FROM_EACH
        report, promotion, search, predictions = collected[start : start + _FROM_EACH]
        finished[configuration["name"]] = Finished(
            report=report,
            promotion=promotion,
            search=search,
            scores=[record["score"] for record in predictions],
        )
    return rank(finished).model_dump(mode="json")


def draw_leaderboard(leaderboard: dict[str, Any]) -> go.Figure:
    """Each configuration's objective before and after, with intervals."""
    return leaderboard_figure(Leaderboard.model_validate(leaderboard))
