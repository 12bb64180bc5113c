"""Beside the stages: several configurations side by side, and which of them is best."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from po_optimizer.shape import SWEEP, namespace

from .nodes import draw_leaderboard, rank_configurations

_FROM_EACH = (
    "score_report",
    "promotion",
    "optimization_report",
    "optimized_predictions",
)
_OF_ALL = {"params:role", "params:evaluate"}
_SHARED = {"judged_programs"}


def create_pipeline(
    configurations: Sequence[str], shared: Pipeline, branch: Pipeline
) -> Pipeline:
    """A branch for each configuration under its namespace, then one leaderboard.

    Args:
        configurations: Their names; of none there is nothing to run.
        shared: What is done once, for all of them.
        branch: What each of them does: optimize, persist, evaluate.
    """
    if not configurations:
        return Pipeline([])
    branches = [
        Pipeline(
            branch,
            namespace=namespace(name),
            inputs=branch.inputs() & (shared.all_outputs() | _SHARED),
            parameters=branch.inputs() & _OF_ALL,
        )
        for name in configurations
    ]
    collected = [
        f"{namespace(name)}.{entry}" for name in configurations for entry in _FROM_EACH
    ]
    ranking = [
        Node(
            rank_configurations,
            inputs=["params:sweep.configurations", *collected],
            outputs="leaderboard",
            name="rank_configurations_node",
            namespace=SWEEP,
        ),
        Node(
            draw_leaderboard,
            inputs="leaderboard",
            outputs="leaderboard_figure",
            name="draw_leaderboard_node",
            namespace=SWEEP,
        ),
    ]
    return Pipeline([shared, *branches, Pipeline(ranking)], tags="sweep")
