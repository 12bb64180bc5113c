"""Stage 4: both programs on the testset to a report and a decision."""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    check_bounds,
    compare_programs,
    draw_figures,
    predict_both,
    write_report,
)

_FIGURES = ("uplift", "components", "examples", "history", "usage")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Predicts with both, compares them in pairs, decides, writes the report."""
    stage = Pipeline(
        [
            Node(
                predict_both,
                inputs=[
                    "optimized_program",
                    "testset",
                    "task_lm",
                    "params:role",
                    "params:evaluate",
                ],
                outputs=["baseline_predictions", "optimized_predictions"],
                name="predict_both_node",
            ),
            Node(
                compare_programs,
                inputs=[
                    "baseline_predictions",
                    "optimized_predictions",
                    "optimized_program",
                    "testset",
                    "trials",
                    "task_lm",
                    "params:role",
                    "params:promotion",
                    "judged_programs",
                ],
                outputs=["score_report", "promotion"],
                name="compare_programs_node",
            ),
            Node(
                draw_figures,
                inputs=[
                    "score_report",
                    "baseline_predictions",
                    "optimized_predictions",
                    "trials",
                    "task_lm",
                ],
                outputs={f"{name}_figure": f"{name}_figure" for name in _FIGURES},
                name="draw_figures_node",
            ),
            Node(
                write_report,
                inputs={
                    "score_report": "score_report",
                    "promotion": "promotion",
                    "baseline_predictions": "baseline_predictions",
                    "optimized_predictions": "optimized_predictions",
                    "trials": "trials",
                    "preflight_report": "preflight_report",
                    "optimized_program": "optimized_program",
                    "role": "params:role",
                    "task_lm": "task_lm",
                },
                outputs="report",
                name="write_report_node",
            ),
        ],
        namespace="evaluate",
        prefix_datasets_with_namespace=False,
    )
    gate = Node(  # outside, or kedro-viz would hide in the stage what it reads
        check_bounds,
        inputs=["score_report", "report", "params:evaluate"],
        outputs=None,
        name="check_bounds_node",
    )
    return Pipeline([stage, gate], tags="evaluate")
