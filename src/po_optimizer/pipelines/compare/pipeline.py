"""Beside the stages: what runs have left, ranked. It asks no LM."""

from kedro.pipeline import Node, Pipeline

from .nodes import draw_ranking, rank_runs, write_ranking


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
                draw_ranking,
                inputs="ranking",
                outputs={
                    "ranking_figure": "ranking_figure",
                    "price_figure": "ranking_price_figure",
                },
                name="draw_ranking_node",
            ),
            Node(
                write_ranking,
                inputs="ranking",
                outputs=["ranking_table", "ranking_page"],
                name="write_ranking_node",
            ),
        ],
        tags="compare",
    )
