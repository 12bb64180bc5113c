"""The pipelines by name: each stage brings the stages that it needs."""

import os
import pkgutil
from pathlib import Path
from types import ModuleType

from kedro.config import MissingConfigException
from kedro.framework.project import find_pipelines, settings
from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project
from omegaconf.errors import OmegaConfBaseException

from po_optimizer import pipelines as pipelines_package
from po_optimizer.pipelines import (
    compare,
    data_prep,
    evaluate,
    metric_report,
    optimize,
    persist,
    predict,
    sweep,
)
from po_optimizer.roles import import_object
from po_optimizer.shape import Shape

_OWN = (
    *("compare", "data_prep", "evaluate", "integrate", "metric_report", "optimize"),
    *("persist", "predict", "sweep"),
)


def register_pipelines() -> dict[str, Pipeline]:
    """Name to pipeline, as the project's parameters shape them.

    A run's hook shapes them anew, by its environment and `--params`. Pipelines that
    were added to the project (`kedro pipeline create`) are found, as Kedro does it.
    """
    added = [name for name in _names(pipelines_package) if name not in _OWN]
    others = find_pipelines(pipelines_to_find=added) if added else {}
    return {**others, **make_pipelines(_shape_of_project())}


def _names(package: ModuleType) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(package.__path__)]


def _shape_of_project() -> Shape:
    """The form that the parameters in the files ask for; a run says what is wrong."""
    project = find_kedro_project(Path.cwd())
    if project is None:
        return Shape()
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project / settings.CONF_SOURCE),
        env=os.environ.get("KEDRO_ENV") or None,
        **settings.CONFIG_LOADER_ARGS,
    )
    try:
        return Shape.of(loader["parameters"])
    except (MissingConfigException, OmegaConfBaseException, ValueError):
        return Shape()


def make_pipelines(shape: Shape) -> dict[str, Pipeline]:
    """Name to pipeline, as `kedro run --pipeline=<name>` takes it.

    `predict` is for every role; `integrate` is the role's own, and the same for a role
    that has none, where everything ends with evaluate. Neither needs another stage:
    without a promoted program it runs the baseline.
    `forecast` is optimize up to what it would cost; `metric_report` asks no LM. With
    another LM's program nothing is optimized: it is evaluated and integrated.

    Args:
        shape: What the parameters say of the pipelines' form.
    """
    prepared = data_prep.create_pipeline()
    optimized = prepared + optimize.create_pipeline()
    persisted = optimized + persist.create_pipeline()
    before = prepared if shape.program_from else persisted
    evaluation = evaluate.create_pipeline()
    evaluated = before + evaluation
    integrated = _integration(shape.integration)
    checked = prepared.to_outputs("checked_records", "rejected_records")
    return {
        "__default__": evaluated + integrated if shape.integration else evaluated,
        "data_prep": prepared,
        "optimize": optimized,
        "persist": persisted,
        "evaluate": evaluated,
        "predict": predict.create_pipeline(),
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


def _integration(package: str | None) -> Pipeline:
    """The role's own last pipeline; predict, if it has none.

    Raises:
        ImportPathError: The package has no `create_pipeline`.
    """
    if package is None:
        return predict.create_pipeline()
    own: Pipeline = import_object("role.integration", f"{package}.create_pipeline")()
    return predict.create_choice() + own
