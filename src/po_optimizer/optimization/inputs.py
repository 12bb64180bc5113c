"""What an optimization was made of, kept beside its journal: enough to repeat it.

Of an LM it says how it was asked, never where it answers nor with which key.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.clients.execution import prepare
from pydantic import Field, ValidationError

from po_optimizer.errors import ArtifactError, PoOptimizerError
from po_optimizer.files import read_whole
from po_optimizer.lms.build import storable_settings
from po_optimizer.lms.identity import ADDRESSES
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.optimization.job import Job
from po_optimizer.params.base import Frozen
from po_optimizer.params.lm import LMParams
from po_optimizer.params.optimize import OptimizeParams
from po_optimizer.params.project import RoleParams
from po_optimizer.persistence.codec.imports import Imports, import_path
from po_optimizer.persistence.codec.values import (
    FAILURES,
    Decoder,
    Encoder,
    is_secret,
)
from po_optimizer.secret import is_secret_argument

FILE = "inputs.json"
"""Beside the journal: a run's `RunInputs`."""

NOWHERE = "http://replay.invalid/v1"
"""In place of addresses and secrets: that there is one changes how DSPy asks."""


def without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are data, and neither a secret nor an address."""
    plain = storable_settings(settings).items()
    return {
        k: v for k, v in plain if k not in ADDRESSES and not is_secret_argument(k, v)
    }


class OwnLM(Frozen):
    """An LM of the user's own.

    Args:
        model_type: Of DSPy's three.
        cache: Whether DSPy itself keeps its answers.
        settings: Its arguments that are data; secrets and addresses are blanked.
        adapter: The class of DSPy's adapter.
        switches: The adapter's truth values, by attribute.
    """

    model_type: Literal["chat", "text", "responses"]
    cache: bool
    settings: dict[str, Any]
    adapter: str
    switches: dict[str, bool]

    @classmethod
    def of(cls, lm: Any) -> "OwnLM":
        """Describes an LM that a run has adopted."""
        settings = without_secrets(lm.kwargs)
        for name, value in lm.kwargs.items():
            if value and (name in ADDRESSES or is_secret_argument(name, value)):
                mapping = isinstance(value, Mapping)
                settings[name] = {"none": "none"} if mapping else NOWHERE
        switches = {k: v for k, v in vars(lm.adapter).items() if isinstance(v, bool)}
        return cls(
            model_type=getattr(lm, "model_type", "chat"),
            cache=prepare(lm, "", None, {}).cache,
            settings=settings,
            adapter=import_path(type(lm.adapter)),
            switches=switches,
        )


class LMInput(Frozen):
    """One of the two LMs.

    Args:
        slug: Its name.
        weights: The digest of its weights; None: the server has none.
        params: How a provider's LM is asked.
        own: The user's own LM; None: the provider's.
        cache_folder: The name of the folder that keeps its answers.
    """

    slug: str
    weights: str | None
    params: LMParams
    own: OwnLM | None
    cache_folder: str = ""

    @classmethod
    def of(cls, lm: MeteredLM) -> "LMInput":
        """Describes an LM of a run."""
        params = lm.params
        weights = params.embedded and params.embedded.model_copy(update={"path": None})
        extra = without_secrets(params.extra)
        update = {"api_base": None, "extra": extra, "embedded": weights}
        return cls(
            slug=lm.slug,
            weights=lm.weights,
            params=params.model_copy(update=update),
            own=None if isinstance(lm, MeteredLM) else OwnLM.of(lm),
            cache_folder=lm.cache_folder.name,
        )


class Examples(Frozen):
    """The examples of both splits as data.

    Args:
        trainset: In the form of the codec of stored programs, like valset.
        types: The types that they need.
        problem: Why they cannot be written as data; "": they are.
    """

    trainset: list[Any] = Field(default_factory=list)
    valset: list[Any] = Field(default_factory=list)
    types: dict[str, Any] = Field(default_factory=dict)
    problem: str = ""

    @classmethod
    def of(cls, trainset: list[dspy.Example], valset: list[dspy.Example]) -> "Examples":
        """Encodes both splits; `problem` says why that was not possible."""
        encoder = Encoder()
        try:
            with encoder.having(strict=True, guards=False):  # data, whatever its name
                splits = {
                    name: [encoder.encode(e, name) for e in split]
                    for name, split in (("trainset", trainset), ("valset", valset))
                }
        except FAILURES as error:
            return cls(problem=str(error))
        return cls(**splits, types=encoder.types)

    def decode(self, packages: Iterable[str]) -> tuple[list[Any], list[Any]]:
        """Decodes both splits.

        Args:
            packages: Their classes of data may be imported; others are rebuilt.

        Raises:
            ArtifactError: They are malformed, or name what may not be imported.
        """
        try:
            decoder = Decoder(Imports(packages), self.types)
            splits = decoder.decode(self.trainset), decoder.decode(self.valset)
        except FAILURES as error:
            raise ArtifactError(f"the run's examples are malformed: {error}") from error
        if decoder.missing or not all(map(_is_example, [*splits[0], *splits[1]])):
            raise ArtifactError("the run's examples are malformed: one is no example")
        return splits


def _is_example(value: Any) -> bool:
    whole = isinstance(value, dspy.Example) and isinstance(value._store, dict)
    return whole and bool(value._input_keys)


class RunInputs(Frozen):
    """What an optimization was made of.

    Args:
        role: The role, of a project's run; None: Python's `optimize` was called.
        program: The class of the student, as `module:Name`.
        metric: The metric, likewise.
    """

    role: RoleParams | None
    program: str
    metric: str
    params: OptimizeParams
    task_lm: LMInput
    prompt_lm: LMInput
    examples: Examples = Examples()

    @classmethod
    def of(cls, job: Job, role: RoleParams | None) -> "RunInputs":
        """Describes a job."""
        metric = job.metric
        named = metric if hasattr(metric, "__qualname__") else type(metric)
        return cls(
            role=role and without_secret_arguments(role),
            program=import_path(type(job.student)),
            metric=import_path(named),
            params=job.params,
            task_lm=LMInput.of(job.task_lm),
            prompt_lm=LMInput.of(job.prompt_lm),
            examples=Examples.of(job.trainset, job.valset),
        )


def without_secret_arguments(role: RoleParams) -> RoleParams:
    """The role without the arguments whose names say that they are secrets."""
    groups = {"program_args": role.program_args, "metric_args": role.metric_args}
    update = {
        group: {k: v for k, v in arguments.items() if not is_secret(k, v)}
        for group, arguments in groups.items()
    }
    return role.model_copy(update=update)


def read_inputs(workspace: Path) -> RunInputs:
    """Reads the inputs of a run.

    Raises:
        PoOptimizerError: There are none, or they cannot be read.
    """
    path = workspace / FILE
    try:
        return RunInputs.model_validate(json.loads(read_whole(path)))
    except FileNotFoundError as error:
        raise PoOptimizerError(
            f"{path} is not there: an earlier version made this run, and kept no "
            "examples with it. The same command again pays nothing and writes them."
        ) from error
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        raise PoOptimizerError(
            f"{path} cannot be read: {str(error).splitlines()[0]}. The same command "
            "again pays nothing and writes it anew."
        ) from error
