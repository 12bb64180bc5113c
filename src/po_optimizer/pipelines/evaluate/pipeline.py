"""Stage 4: both programs on the testset to a report and a decision."""

from functools import partial, update_wrapper

from kedro.pipeline import Node, Pipeline

from .nodes import (
    Answers,
    check_bounds,
    compare_programs,
    draw_figures,
    join_shards,
    predict_both,
    predict_shard,
    write_report,
)

_FIGURES = ("uplift", "components", "examples", "history", "usage")
_PREDICTING = [
    "optimized_program",
    "testset",
    "task_lm",
    "params:role",
    "params:evaluate",
]
_PREDICTED = ["baseline_predictions", "optimized_predictions"]


def create_pipeline(num_shards: int = 1, **kwargs: object) -> Pipeline:
    """Predicts with both, compares them in pairs, decides, writes the report.

    Args:
        num_shards: Parts of the testset that are predicted by nodes of their own,
            which a runner may give to different workers; 1 or more.
        kwargs: None; Kedro's convention.
    """
    stage = Pipeline(
        [
            *(_predict_shards(num_shards) if num_shards > 1 else [_predict_all()]),
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


def _predict_all() -> Node:
    return Node(
        predict_both,
        inputs=_PREDICTING,
        outputs=_PREDICTED,
        name="predict_both_node",
    )


def _predict_shards(num_shards: int) -> list[Node]:
    shards = range(1, num_shards + 1)
    joined = [f"{name}_shard_{shard}" for name in _PREDICTED for shard in shards]
    nodes = [
        Node(
            _shard(shard, num_shards),
            inputs=_PREDICTING,
            outputs=[f"{name}_shard_{shard}" for name in _PREDICTED],
            name=f"predict_shard_{shard}_node",
        )
        for shard in shards
    ]
    join = Node(join_shards, inputs=joined, outputs=_PREDICTED, name="join_shards_node")
    return [*nodes, join]


def _shard(shard: int, num_shards: int) -> partial[tuple[Answers, Answers]]:
    bound = partial(predict_shard, shard=shard, num_shards=num_shards)
    update_wrapper(bound, predict_shard)  # Kedro and kedro-viz ask for its name
    return bound
