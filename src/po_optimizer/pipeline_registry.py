"""The pipelines by name: each stage brings the stages that it needs."""

from kedro.pipeline import Pipeline

from po_optimizer.pipelines import (
    data_prep,
    evaluate,
    integrate,
    metric_report,
    optimize,
    persist,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Name to pipeline, as `kedro run --pipeline=<name>` takes it.

    `integrate` needs no other stage: without a promoted program it runs the baseline.
    `forecast` is optimize up to what it would cost; `metric_report` asks no LM.
    """
    prepared = data_prep.create_pipeline()
    optimized = prepared + optimize.create_pipeline()
    persisted = optimized + persist.create_pipeline()
    evaluated = persisted + evaluate.create_pipeline()
    integrated = integrate.create_pipeline()
    return {
        "__default__": evaluated + integrated,
        "data_prep": prepared,
        "optimize": optimized,
        "persist": persisted,
        "evaluate": evaluated,
        "integrate": integrated,
        "forecast": optimized.to_outputs("forecast"),
        "metric_report": prepared + metric_report.create_pipeline(),
    }
