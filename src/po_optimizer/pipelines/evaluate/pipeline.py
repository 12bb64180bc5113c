"""Stage 4: both programs on the testset to a report and a decision."""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    check_bounds,
    compare_programs,
    compare_prompts,
    count_calls,
    predict_programs,
    write_report,
)

_FIGURES = [
    f"{name}_figure" for name in ("uplift", "components", "examples", "history")
]


def create_pipeline(**kwargs: object) -> Pipeline:
    """Predicts with both, compares them in pairs, decides; then reports.

    The report is a stage of its own in the drawing, so that scores and figures are to
    be seen while the stages are closed.
    """
    judging = Pipeline(
        [
            Node(
                predict_programs,
                inputs=[
                    "optimized_program",
                    "champion_program",
                    "testset",
                    "task_lm",
                    "params:role",
                    "params:evaluate",
                ],
                outputs=[
                    "baseline_predictions",
                    "optimized_predictions",
                    "champion_predictions",
                ],
                name="predict_programs_node",
            ),
            Node(
                count_calls,
                inputs=["champion_predictions", "task_lm"],
                outputs="lm_usage",
                name="count_calls_node",
            ),
            Node(
                compare_prompts,
                inputs=["optimized_program", "task_lm", "params:role"],
                outputs=["prompt_diff", "prompt_changes"],
                name="compare_prompts_node",
            ),
            Node(
                compare_programs,
                inputs=[
                    "baseline_predictions",
                    "optimized_predictions",
                    "champion_predictions",
                    "optimized_program",
                    "champion_program",
                    "champion",
                    "testset",
                    "trials",
                    "lm_usage",
                    "params:role",
                    "params:promotion",
                    "judged_programs",
                ],
                outputs={
                    "score_report": "score_report",
                    "promotion": "promotion",
                    "new_champion": "new_champion",
                },
                name="compare_programs_node",
            ),
        ],
        tags="evaluate",
        namespace="evaluate",
        prefix_datasets_with_namespace=False,
    )
    reporting = Pipeline(
        [
            Node(
                write_report,
                inputs={
                    "score_report": "score_report",
                    "promotion": "promotion",
                    "baseline_predictions": "baseline_predictions",
                    "optimized_predictions": "optimized_predictions",
                    "trials": "trials",
                    "preflight_report": "preflight_report",
                    "optimization_report": "optimization_report",
                    "optimized_program": "optimized_program",
                    "prompt_diff": "prompt_diff",
                    "lm_usage": "lm_usage",
                    "role": "params:role",
                },
                outputs={name: name for name in ("report", *_FIGURES, "kept_runs")},
                name="write_report_node",
            ),
            Node(
                check_bounds,
                inputs=["score_report", "kept_runs", "params:evaluate"],
                outputs=None,
                name="check_bounds_node",
            ),
        ],
        tags="evaluate",
        namespace="report",
        prefix_datasets_with_namespace=False,
    )
    return judging + reporting
