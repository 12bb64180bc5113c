"""The sessions of a sweep, valid before the first of them begins."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from kedro.framework import project
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession
from omegaconf import OmegaConf
from pydantic import ValidationError

from po_optimizer.console.messages import explain
from po_optimizer.errors import PoOptimizerError, SettingError, listed
from po_optimizer.lms.selection import prompt_lm_params, task_lm_params
from po_optimizer.params.project import SweepConfiguration, SweepParams


@dataclass(frozen=True)
class SessionTask:
    """The session of one configuration, on its way to a worker.

    Args:
        name: Of the configuration.
        sweep: No other run of a sweep has this name.
        package: Of the Kedro project.
        project_path: Folder of the project, the same on every machine.
        env: Kedro's environment; None: the default one.
        conf_source: Folder or archive of the configuration.
        runtime_params: Those of the sweep's own run, and what differs here.
    """

    name: str
    sweep: str
    package: str
    project_path: Path
    env: str | None
    conf_source: str
    runtime_params: dict[str, Any] = field(repr=False)  # Dask logs what it is sent

    def session(self) -> KedroSession:
        """A new session."""
        return KedroSession.create(
            project_path=self.project_path,
            env=self.env,
            conf_source=self.conf_source,
            runtime_params=self.runtime_params,
        )


def make_tasks(sweep: SweepParams, context: KedroContext) -> list[SessionTask]:
    """A task for each configuration, once all of them are known to be valid.

    Raises:
        SettingError: There is no configuration, or one changes the testset.
        PoOptimizerError: A configuration's parameters cannot be used.
    """
    if not sweep.configurations:
        raise SettingError(
            "sweep.configurations", [], "there is none to run", "List at least one."
        )
    listing = json.dumps(sweep.model_dump()["configurations"])
    judged = {
        "num_compared": len(sweep.configurations),
        # a sweep that is run again goes on with its share of the testset's alpha
        "compared_in": f"sweep-{sha256(listing.encode()).hexdigest()[:16]}",
    }
    loader, sweep_id = context.config_loader, f"sweep-{uuid4().hex}"
    tasks = []
    for configuration in sweep.configurations:
        _check_same_testset(configuration)
        own = {
            **configuration.model_dump(exclude={"name"}, exclude_none=True),
            "promotion": judged,
            "sweep_folder": f"/sweep/{configuration.name}",
        }
        params = OmegaConf.merge(loader.runtime_params or {}, own)
        tasks.append(
            SessionTask(
                name=configuration.name,
                sweep=sweep_id,
                package=str(project.PACKAGE_NAME),
                project_path=context.project_path,
                env=context.env,
                conf_source=str(loader.conf_source),
                runtime_params=cast(dict[str, Any], OmegaConf.to_container(params)),
            )
        )
    _check_parameters(tasks)
    return tasks


def _check_same_testset(configuration: SweepConfiguration) -> None:
    """All configurations answer the same testset, or ranking them would mean nothing.

    The trainset and valset follow the testset in the order that the seed gives, so
    their sizes may differ.
    """
    sizes = set((configuration.data_prep or {}).get("sizes") or {})
    others = {*(configuration.data_prep or {})} - {"sizes"}
    wrong = sorted({*(f"sizes.{name}" for name in sizes - {"train", "val"}), *others})
    if wrong:
        raise SettingError(
            f"sweep.configurations[{configuration.name}].data_prep",
            listed(wrong),
            "configurations are compared on one testset, so only sizes.train and "
            "sizes.val may differ",
            "Set the rest in data_prep, for all of them.",
        )


def _check_parameters(tasks: Sequence[SessionTask]) -> None:
    """A misspelt key of the last configuration is an error before the first begins."""
    errors = {}
    for task in tasks:
        try:
            parameters = task.session().load_context().config_loader["parameters"]
            task_lm_params(parameters)
            prompt_lm_params(parameters)
        except (ValidationError, PoOptimizerError) as error:
            errors[task.name] = explain(error) or str(error)
    if errors:
        raise failure(errors, len(tasks))


def failure(
    errors: Mapping[str, str], n_tasks: int, exit_code: int = 1
) -> PoOptimizerError:
    """What is raised if some of the tasks failed.

    Args:
        errors: Why, by the name of the configuration.
        n_tasks: Of the sweep.
        exit_code: Of the command.
    """
    lines = "".join(f"\n- {name}: {why}" for name, why in errors.items())
    error = PoOptimizerError(
        f"{len(errors)} of {n_tasks} configurations failed; what the others and these "
        f"have stored is kept, and the same command resumes:{lines}"
    )
    error.exit_code = exit_code
    return error
