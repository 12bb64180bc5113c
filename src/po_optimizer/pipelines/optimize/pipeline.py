"""Stage 2: the splits and the LMs to a candidate program."""

from kedro.pipeline import Node, Pipeline

from .nodes import make_forecast, optimize_program, run_preflight


def create_pipeline(**kwargs: object) -> Pipeline:
    """Preflight, forecast, then the optimizer that the parameters choose."""
    return Pipeline(
        [
            Node(
                run_preflight,
                inputs=[
                    "trainset",
                    "valset",
                    "testset",
                    "task_lm",
                    "prompt_lm",
                    "params:role",
                    "params:optimize",
                    "workspace",
                    "params:promotion",
                ],
                outputs="preflight_report",
                name="run_preflight_node",
            ),
            Node(
                make_forecast,
                inputs=[
                    "trainset",
                    "valset",
                    "testset",
                    "task_lm",
                    "prompt_lm",
                    "params:role",
                    "params:optimize",
                    "preflight_report",
                    "params:evaluate",
                ],
                outputs="forecast",
                name="make_forecast_node",
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
