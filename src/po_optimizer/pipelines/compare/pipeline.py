"""Beside the stages: what runs have left, ranked. It asks no LM."""

from kedro.pipeline import Node, Pipeline

from .nodes import rank_runs, show_ranking

_SHOWN = ("ranking_table", "ranking_page", "ranking_figure")


def create_pipeline(after: str | None = None, **kwargs: object) -> Pipeline:
    """Collects what runs have left, ranks what is comparable, writes the page.

    Args:
        after: The sweep's report, if a sweep makes the runs first.
        kwargs: None; Kedro's convention.
    """
    return Pipeline(
        [
            Node(
                rank_runs,
                inputs=["finished_runs", *([after] if after else [])],
                outputs="ranking",
                name="rank_runs_node",
            ),
            Node(
                show_ranking,
                inputs="ranking",
                outputs={name: name for name in _SHOWN},
                name="show_ranking_node",
            ),
        ],
        tags="compare",
    )
