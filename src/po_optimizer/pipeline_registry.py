"""The pipelines by name: each stage brings the stages that it needs."""

import os
import pkgutil
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.project import find_pipelines, pipelines, settings
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project

from po_optimizer import pipelines as stages
from po_optimizer.config_loader import is_document
from po_optimizer.errors import PoOptimizerError, SettingError, listed
from po_optimizer.params.project import RoleParams
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
from po_optimizer.roles.build import import_object

_MADE = {"candidate_program", "optimized_program", "sweep_report"}


_of_run: ContextVar[dict[str, Pipeline] | None] = ContextVar("pipelines", default=None)


def shape_pipelines(parameters: Mapping[str, Any]) -> None:
    """Makes the project's pipelines those that the parameters of a run ask for."""
    shaped = make_pipelines(parameters)
    token = _of_run.set(shaped)  # Kedro registers them before it takes others
    pipelines.update(shaped)
    _of_run.reset(token)


def register_pipelines() -> dict[str, Pipeline]:
    """Name to pipeline, as the project's parameters shape them.

    A run's hook shapes them anew, by its environment and `--params`. Pipelines that
    were added to the project (`kedro pipeline create`) are found, as Kedro does it.
    """
    own = _of_run.get() or make_pipelines(_project_parameters())
    packages = (module.name for module in pkgutil.iter_modules(stages.__path__))
    added = [name for name in packages if name not in own]
    others = find_pipelines(pipelines_to_find=added) if added else {}
    return {**others, **own}


def _project_parameters() -> Mapping[str, Any]:
    """The parameters in the files; {} if they are wrong, which a run will say."""
    project = find_kedro_project(Path.cwd())
    if project is None:
        return {}
    try:
        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(project / settings.CONF_SOURCE),
            env=os.environ.get("KEDRO_ENV") or None,
            **settings.CONFIG_LOADER_ARGS,
        )
        parameters: Mapping[str, Any] = loader["parameters"]
        RoleParams.model_validate(parameters.get("role") or {})
    except (PoOptimizerError, MissingConfigException, ValueError):
        return {}
    return parameters


def make_pipelines(
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Pipeline]:
    """Name to pipeline, as `kedro run --pipeline=<name>` takes it.

    `predict` is for every role; `integrate` is the role's own, and the same for a role
    that has none, where everything ends with evaluate. Neither needs another stage:
    without a promoted program it runs the baseline.
    `forecast` is optimize up to what it would cost; `metric_report` asks no LM. With
    another LM's program nothing is optimized: it is evaluated and integrated.

    Args:
        parameters: Of the run; `role` and `program_from` (the folder in data/06_models
            of a program that is evaluated instead of this LM's own) are read.
    """
    prepared = data_prep.create_pipeline()
    optimized = prepared + optimize.create_pipeline()
    persisted = optimized + persist.create_pipeline()
    before = prepared if parameters.get("program_from") else persisted
    evaluation = evaluate.create_pipeline()
    evaluated = before + evaluation
    role = RoleParams.model_validate(parameters.get("role") or {})
    integrated = _integration(role)
    return {
        "__default__": evaluated + integrated if role.integration else evaluated,
        "data_prep": prepared,
        "optimize": optimized,
        "persist": persisted,
        "evaluate": evaluated,
        "predict": predict.create_pipeline(),
        "integrate": integrated,
        "forecast": optimized.to_outputs("forecast"),
        "compare": compare.create_pipeline(),
        "metric_report": prepared + metric_report.create_pipeline(),
        "sweep": sweep.create_pipeline() + compare.create_pipeline("sweep_report"),
    }


def _integration(role: RoleParams) -> Pipeline:
    """The role's own last pipeline; predict, if it has none.

    Raises:
        SettingError: The package has no `create_pipeline`.
    """
    if role.integration is None:
        return predict.create_pipeline()
    path = f"{role.integration}.create_pipeline"
    own: Pipeline = import_object("role.integration", path)()
    return predict.create_choice() + own


def check_program_from(
    parameters: Mapping[str, Any],
    pipeline: Pipeline,
    catalog: CatalogProtocol[Any, Any],
) -> None:
    """Checks that `program_from` names a stored program that the run only reads.

    Raises:
        SettingError: `program_from` names no stored program, or the run would make
            one.
    """
    source = parameters.get("program_from")
    if source is None:
        return
    if own_outputs := sorted(pipeline.all_outputs() & _MADE):
        problem = f"this run would make a program itself ({listed(own_outputs)})"
        remedy = "Look at the stored one: --pipeline=evaluate, --pipeline=integrate."
        raise SettingError("program_from", source, problem, remedy)
    programs = {"optimized_program", "champion_program"}
    if programs & pipeline.inputs() and not catalog.exists("optimized_program"):
        stored = "" if is_document(source) else listed(_stored(catalog, source))
        remedy = f"Choose one of: {stored}." if stored else "Correct the path."
        raise SettingError("program_from", source, "no program is stored there", remedy)


def _stored(catalog: CatalogProtocol[Any, Any], source: str) -> list[str]:
    """The folders that `program_from` may name."""
    program = Path(str(getattr(catalog.get("optimized_program"), "_filepath", "")))
    models = program.parents[len(Path(source).parts)]
    folders = [path.parent for path in models.rglob(program.name) if path.is_dir()]
    return sorted({str(folder.relative_to(models)) for folder in folders})
