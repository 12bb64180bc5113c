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

from po_optimizer.errors import PoOptimizerError, field_problems, listed, refusal

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
    return "lm." if error.title == "LMParams" else ""


def _refused(problems: list[str], prefix: str = "") -> str:
    told = "; ".join(f"{prefix}{problem}" for problem in problems)
    return f"the parameters cannot be used: {told}. {_CORRECT}"


def _kedro_problems(report: str) -> list[str]:
    """Kedro hands on pydantic's report as text only: its fields and findings."""
    parameter = field = ""
    problems = []
    for line in report.splitlines():
        if found := re.match(r"- Parameter '(.+?)': (.*)", line):
            parameter, rest = found.groups()
            if "validation error" not in rest:
                problems.append(f"{parameter}: {rest}")
        elif found := re.match(r"  (\S.*?)(?: \[type=.*)?$", line):
            finding = found.group(1).removeprefix("Value error, ")
            problems.append(f"{parameter}.{field}: {finding}")
        elif not line.startswith(" "):
            field = line
    return problems


def _missing_environment(error: BaseException) -> str:
    text = str(error)
    folder = Path(text.rpartition(": ")[2])
    if not folder.is_absolute():
        return text
    known = sorted(one.name for one in folder.parent.glob("*") if one.is_dir())
    return (
        f"env={folder.name!r} is no environment: there is no folder {folder}. "
        f"Choose one of {listed(known)}."
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
        if isinstance(cause, FileNotFoundError) and cause.filename:
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


def _unknown_name(error: BaseException) -> str | None:
    """The sentence for what `kedro run` was told to run and does not know."""
    text = str(error)
    if found := re.match(r"Failed to find the pipeline named '(.*?)'", text):
        known = listed(name for name in sorted(pipelines) if name != "__default__")
        return f"pipeline={found.group(1)!r} is unknown. Choose one of {known}."
    if re.match(r"Pipeline (does not contain|contains no)", text):
        return f"{text.rstrip('.')}. `kedro registry describe` lists them."
    if found := re.match(r"module 'kedro.runner' has no attribute '(.*)'", text):
        return (
            f"runner={found.group(1)!r} is unknown. Choose SequentialRunner, "
            "ThreadRunner, or the dotted path of another one."
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
