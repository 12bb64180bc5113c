"""Beside the stages: every LM's results side by side. It asks no LM."""

from kedro.pipeline import Node, Pipeline

from .nodes import compare_runs, draw_comparison, write_comparison


def create_pipeline(**kwargs: object) -> Pipeline:
    """Collects what runs have left, ranks what is comparable, writes the page."""
    return Pipeline(
        [
            Node(
                compare_runs,
                inputs=["finished_runs", "params:optimize"],
                outputs="comparison",
                name="compare_runs_node",
            ),
            Node(
                draw_comparison,
                inputs="comparison",
                outputs={
                    "comparison_figure": "comparison_figure",
                    "price_figure": "comparison_price_figure",
                },
                name="draw_comparison_node",
            ),
            Node(
                write_comparison,
                inputs="comparison",
                outputs=["comparison_table", "comparison_page"],
                name="write_comparison_node",
            ),
        ],
        tags="compare",
    )
