"""Beside the stages: is the metric worth optimizing? It asks no LM for itself."""

from kedro.pipeline import Node, Pipeline

from .nodes import check_metric


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
                outputs=["metric_report", "metric_figure"],
                name="check_metric_node",
            ),
        ],
        tags="metric_report",
    )
