"""Stage 2: the splits and the LMs to a candidate program."""

from kedro.pipeline import Node, Pipeline

from .nodes import optimize_program, prepare_optimization


def create_pipeline(**kwargs: object) -> Pipeline:
    """Preflight and forecast, then the optimizer that the parameters choose."""
    return Pipeline(
        [
            Node(
                prepare_optimization,
                inputs=[
                    "trainset",
                    "valset",
                    "testset",
                    "task_lm",
                    "prompt_lm",
                    "params:role",
                    "params:optimize",
                    "params:promotion",
                    "params:evaluate",
                    "workspace",
                ],
                outputs=["preflight_report", "forecast"],
                name="prepare_optimization_node",
            ),
            Node(
                optimize_program,
                inputs=[
                    "trainset",
                    "valset",
                    "task_lm",
                    "prompt_lm",
                    "params:role",
                    "params:optimize",
                    "forecast",
                    "workspace",
                ],
                outputs={
                    "candidate_program": "candidate_program",
                    "trials": "trials",
                    "optimization_report": "optimization_report",
                },
                name="optimize_program_node",
            ),
        ],
        tags="optimize",
        namespace="optimize",
        prefix_datasets_with_namespace=False,
    )
