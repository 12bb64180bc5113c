"""Beside the stages: is the metric worth optimizing? It asks no LM for itself."""

from kedro.pipeline import Node, Pipeline

from .nodes import check_metric, draw_metric


def create_pipeline(**kwargs: object) -> Pipeline:
    """Scores families of outputs whose order a good metric must find."""
    return Pipeline(
        [
            Node(
                check_metric,
                inputs=[
                    "checked_records",
                    "task_lm",
                    "params:role",
                    "params:data_prep",
                ],
                outputs="metric_report",
                name="check_metric_node",
            ),
            Node(
                draw_metric,
                inputs="metric_report",
                outputs="metric_figure",
                name="draw_metric_node",
            ),
        ],
        tags="metric_report",
    )
