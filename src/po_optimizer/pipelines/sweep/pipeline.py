"""Beside the stages: several configurations, each in a session of its own."""

from kedro.pipeline import Node, Pipeline

from .nodes import run_configurations


def create_pipeline(**kwargs: object) -> Pipeline:
    """Runs the configurations; `compare` then ranks what they left."""
    return Pipeline(
        [
            Node(
                run_configurations,
                inputs=["params:sweep", "context"],
                outputs="sweep_report",
                name="run_configurations_node",
            )
        ],
        tags="sweep",
    )
