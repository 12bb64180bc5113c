"""The pipelines by name: each stage brings the stages that it needs."""

from kedro.pipeline import Pipeline

from po_optimizer.pipelines import (
    compare,
    data_prep,
    evaluate,
    integrate,
    metric_report,
    optimize,
    persist,
    sweep,
)
from po_optimizer.shape import Shape


def register_pipelines() -> dict[str, Pipeline]:
    """Name to pipeline, as `kedro registry list` shows them without parameters."""
    return make_pipelines(Shape())


def make_pipelines(shape: Shape) -> dict[str, Pipeline]:
    """Name to pipeline, as `kedro run --pipeline=<name>` takes it.

    `integrate` needs no other stage: without a promoted program it runs the baseline.
    `forecast` is optimize up to what it would cost; `metric_report` asks no LM. With
    another LM's program nothing is optimized: it is evaluated and integrated.

    Args:
        shape: What the parameters say of the pipelines' form.
    """
    prepared = data_prep.create_pipeline()
    optimized = prepared + optimize.create_pipeline()
    persisted = optimized + persist.create_pipeline()
    before = prepared if shape.program_from else persisted
    evaluation = evaluate.create_pipeline(shape.num_shards)
    evaluated = before + evaluation
    integrated = integrate.create_pipeline()
    checked = prepared.to_outputs("checked_records", "rejected_records")
    return {
        "__default__": evaluated + integrated,
        "data_prep": prepared,
        "optimize": optimized,
        "persist": persisted,
        "evaluate": evaluated,
        "integrate": integrated,
        "forecast": optimized.to_outputs("forecast"),
        "compare": compare.create_pipeline(),
        "metric_report": prepared + metric_report.create_pipeline(),
        "sweep": sweep.create_pipeline(
            shape.configurations,
            shared=checked,
            branch=persisted + evaluation - checked,
        ),
    }
