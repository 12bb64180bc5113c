"""What the parameters say of the pipelines' form, before any pipeline is made.

Kedro makes pipelines without parameters; a sweep has as many branches as it has
configurations. So the hook that sees the parameters first reads the form from them
and gives each configuration its own parameters, under its namespace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from omegaconf import OmegaConf

from po_optimizer.errors import SettingError, listed
from po_optimizer.params import (
    RoleParams,
    SweepConfiguration,
    SweepParams,
)

SWEEP = "sweep"
"""Namespace of the sweep's configurations, and the parameter that lists them."""

_OF_A_CONFIGURATION = ("data_prep", "optimize", "lm", "prompt_lm", "promotion")


@dataclass(frozen=True)
class Shape:
    """The form of this run's pipelines.

    Args:
        program_from: Folder in data/06_models of the program that is evaluated and
            integrated instead of this LM's own; None: its own.
        configurations: Names of the sweep's configurations, in their order.
        integration: Package of the role's own last pipeline; None: it has none.
    """

    program_from: str | None = None
    configurations: tuple[str, ...] = ()
    integration: str | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Shape":
        """The form that the parameters of a run ask for.

        Raises:
            pydantic.ValidationError: `sweep` has a wrong key or value.
        """
        sweep = SweepParams.model_validate(parameters.get(SWEEP) or {})
        role = RoleParams.model_validate(parameters.get("role") or {})
        return cls(
            program_from=parameters.get("program_from"),
            configurations=tuple(each.name for each in sweep.configurations),
            integration=role.integration,
        )


def by_namespace(parameters: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Prefix of a namespace's entries to the parameters that hold in it; "": all."""
    own = {
        f"{namespace(name)}.": parameters[SWEEP][name]
        for name in Shape.of(parameters).configurations
    }
    return {"": parameters, **own}


def check_program_from(
    parameters: Mapping[str, Any],
    pipeline: Pipeline,
    catalog: CatalogProtocol[Any, Any],
) -> None:
    """Lets a run pass that looks at its own program, or at one that is stored.

    Raises:
        SettingError: `program_from` names no stored program, or the run would make
            one.
    """
    source = parameters.get("program_from")
    if source is None:
        return
    outputs = {name.rpartition(".")[2] for name in pipeline.all_outputs()}
    if made := sorted(outputs & {"candidate_program", "optimized_program"}):
        problem = f"this run would make a program itself ({listed(made)})"
        remedy = "Look at the stored one: --pipeline=evaluate, --pipeline=integrate."
        raise SettingError("program_from", source, problem, remedy)
    programs = {"optimized_program", "champion_program"}
    if programs & pipeline.inputs() and not catalog.exists("optimized_program"):
        known = listed(_stored(catalog, source))
        remedy = f"Choose one of: {known or 'none is stored yet'}."
        raise SettingError("program_from", source, "no program is stored there", remedy)


def _stored(catalog: CatalogProtocol[Any, Any], source: str) -> list[str]:
    """The folders that `program_from` may name."""
    program = Path(str(getattr(catalog.get("optimized_program"), "_filepath", "")))
    models = program.parents[len(Path(source).parts)]
    found = [each.parent for each in models.rglob(program.name) if each.is_dir()]
    return sorted({str(folder.relative_to(models)) for folder in found})


def results_folder(slug: str, program: str) -> str:
    """Where results on an LM lie: apart for a program of another one.

    Args:
        slug: Folder of the LM that runs the program.
        program: Folder in data/06_models that the program comes from.
    """
    own = program == slug
    return slug if own else f"{slug}/from-{program.replace('/', '-')}"


def namespace(configuration: str) -> str:
    """Of a configuration's nodes, datasets and parameters."""
    return f"{SWEEP}.{configuration}"


def configuration_of(node_namespace: str) -> str:
    """The configuration's namespace that a node is in; "" outside of a sweep."""
    parts = node_namespace.split(".")
    return ".".join(parts[:2]) if parts[0] == SWEEP else ""


def with_configurations(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, with each configuration's own ones under its name in `sweep`.

    A configuration is judged at an alpha that holds for all of them together.

    Raises:
        pydantic.ValidationError: `sweep` has a wrong key or value.
        SettingError: A configuration changes what the others are compared on.
    """
    sweep = SweepParams.model_validate(parameters.get(SWEEP) or {})
    own = {
        each.name: _of_configuration(parameters, each, len(sweep.configurations))
        for each in sweep.configurations
    }
    return {**parameters, SWEEP: {**(parameters.get(SWEEP) or {}), **own}}


def _of_configuration(
    parameters: Mapping[str, Any], configuration: SweepConfiguration, among: int
) -> dict[str, Any]:
    changed = configuration.model_dump(exclude={"name"}, exclude_none=True)
    _check_same_testset(configuration)
    changed["promotion"] = {"num_compared": among}
    base = {name: parameters.get(name) or {} for name in _OF_A_CONFIGURATION}
    merged = OmegaConf.merge(base, changed)
    return cast(dict[str, Any], OmegaConf.to_container(merged))


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
