"""What a failed run says: one sentence for a user's mistake, none for a defect."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.project import pipelines
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from po_optimizer.errors import (
    PoOptimizerError,
    choice_problem,
    field_problems,
    listed,
    nearest,
    refusal,
)

_RUNNERS = ("SequentialRunner", "ThreadRunner")
_CORRECT = "Correct it in conf/ or in --params."


def explain(error: BaseException) -> str | None:
    """The sentence for a failure of the user's making; None for a defect of ours."""
    for cause in causes(error):
        if isinstance(cause, PoOptimizerError):
            return str(cause)
        if isinstance(cause, ValidationError):
            return _refused(field_problems(cause), _setting(cause))
    for kind, sentence in _SENTENCES.items():
        if isinstance(error, kind):
            return sentence(error)
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _setting(error: ValidationError) -> str:
    """The parameter that a model of ours stands for: `data_prep` of DataPrepParams."""
    name = error.title.removesuffix("Params")
    if name == error.title:
        return ""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _refused(problems: list[str], parameter: str = "") -> str:
    told = "; ".join(_joined(parameter, problem) for problem in problems)
    return f"the parameters cannot be used: {told}. {_CORRECT}"


def _joined(parameter: str, problem: str) -> str:
    """A problem of a key of the parameter, or of the parameter itself."""
    of_a_key = re.match(r"\S+: ", problem)
    return parameter + ("." if of_a_key else ": ") * bool(parameter) + problem


def _kedro_problems(report: str) -> list[str]:
    """Kedro hands on pydantic's report as text only: its fields and findings."""
    parameter = field = ""
    problems = []
    for line in report.splitlines():
        if found := re.match(r"- Parameter '(.+?)': (.*)", line):
            parameter, rest = found.groups()
            field = ""
            if "validation error" not in rest:
                problems.append(f"{parameter}: {rest}")
        elif found := re.match(r"  (\S.*?)(?: \[type=(.*))?$", line):
            finding = found.group(1).removeprefix("Value error, ")
            if given := re.match(r"literal_error, input_value='(.*?)'", found[2] or ""):
                finding = choice_problem(finding, given.group(1))
            problems.append(f"{'.'.join(filter(None, (parameter, field)))}: {finding}")
        elif not line.startswith(" "):
            field = line
    return problems


def _missing_environment(error: BaseException) -> str:
    text = str(error)
    folder = Path(text.rpartition(": ")[2])
    if not folder.is_absolute():
        return text
    if folder.name == "base":
        return (
            f"there is no folder {folder}, which holds the settings of every "
            "environment. Put it back (`git checkout conf`), or run in the project's "
            "folder."
        )
    known = sorted(one.name for one in folder.parent.glob("*") if one.is_dir())
    return (
        f"env={folder.name!r} is no environment{nearest(folder.name, known)}: there is "
        f"no folder {folder}. "
        f"Choose one of {listed(known, 30)}."
    )


def _failed_dataset(error: BaseException) -> str | None:
    text = str(error)
    chain = list(causes(error))
    if "Failed while saving" in text and not any(
        isinstance(cause, OSError) for cause in chain
    ):
        return None  # raised by a stream while it was saved: a defect of its maker
    entry = text.partition(":")[0]
    for cause in chain:
        missing = isinstance(cause, FileNotFoundError) or (
            isinstance(cause, IsADirectoryError) and "Failed while loading" in text
        )
        if isinstance(cause, OSError) and missing and cause.filename:
            return (
                f"{entry}: there is no file {cause.filename}. Correct its path in "
                "conf/base/catalog.yml or in --params, or run the stage that makes it."
            )
        if isinstance(cause, OSError) and cause.filename and "Failed while" in text:
            return f"{entry}: {_refused_file(cause)}"
    return " ".join(text.split())


def _refused_file(error: OSError) -> str:
    where = error.filename or "a file"
    return f"{where}: {refusal(error)}. What is done is kept: the same command resumes."


def _nearest_part(text: str) -> str:
    """The node or dataset that was probably meant by the first name in the text."""
    found = re.search(r"(nodes|datasets) named \['(.*?)'", text)
    if found is None:
        return ""
    every = [pipeline for pipeline in pipelines.values() if pipeline]
    if found.group(1) == "nodes":
        known = {node.name for pipeline in every for node in pipeline.nodes}
    else:
        known = {name for pipeline in every for name in pipeline.datasets()}
    return nearest(found.group(2), sorted(known))


def _unknown_name(error: BaseException) -> str | None:
    """The sentence for what `kedro run` was told to run and does not know."""
    text = str(error)
    if found := re.match(r"Failed to find the pipeline named '(.*?)'", text):
        known = [name for name in sorted(pipelines) if name != "__default__"]
        meant = nearest(found.group(1), known)
        return (
            f"pipeline={found.group(1)!r} is unknown{meant}. "
            f"Choose one of {listed(known, 30)}."
        )
    if found := re.match(r"Duplicate keys found in (.*?) and (.*): (.*)", text):
        first, second, keys = found.groups()
        return f"{keys} stands in both {first} and {second}. Take it out of one."
    if re.match(r"Pipeline (does not contain|contains no)", text):
        text = text.partition(". Did you mean")[0].rstrip(".")
        return f"{text}{_nearest_part(text)}. `kedro registry describe` lists them."
    if found := re.match(r"module 'kedro.runner' has no attribute '(.*)'", text):
        return (
            f"runner={found.group(1)!r} is unknown{nearest(found[1], _RUNNERS)}. "
            f"Choose {listed(_RUNNERS)}, or the dotted path of another one."
        )
    return None


_SENTENCES: dict[type[BaseException], Callable[[Any], str | None]] = {
    ParameterValidationError: lambda error: _refused(_kedro_problems(str(error))),
    MissingConfigException: _missing_environment,
    OmegaConfBaseException: lambda error: f"the configuration cannot be read: {error}",
    DatasetError: _failed_dataset,
    click.ClickException: lambda error: str(error.message),
    OSError: _refused_file,
    ValueError: _unknown_name,
    AttributeError: _unknown_name,
}
