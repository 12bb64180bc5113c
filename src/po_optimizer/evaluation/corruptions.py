"""Ways to spoil a reference output, for any role: what a metric ought to notice."""

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

import dspy
from pydantic import BaseModel

Outputs = Mapping[str, Any]
Types = Mapping[str, Any]
"""Output field to its annotation, where the value itself does not tell."""

Change = Callable[[Any, Any], Any]
"""A value and its annotation -> what takes its place; INSIDE: its parts are changed."""

INSIDE = object()

# FR001, FR-01, NFR-12, C3: one to five capitals, an optional hyphen, digits.
ID = re.compile(r"\b[A-Z]{1,5}-?\d{1,5}\b")


def without_ids(outputs: Outputs, types: Types) -> Outputs:
    """Every requirement id in every text removed."""
    return change_outputs(outputs, types, in_texts(_drop_ids))


def truncated(outputs: Outputs, types: Types) -> Outputs:
    """Every text cut to its first half, every list too; closed sets are left alone."""
    return change_outputs(outputs, types, _halve)


def flipped(outputs: Outputs, types: Types) -> Outputs:
    """Every value of a Literal, an Enum or a bool replaced by another allowed one."""
    return change_outputs(outputs, types, _flip)


CORRUPTIONS: dict[str, Callable[[Outputs, Types], Outputs]] = {
    "ids removed": without_ids,
    "status flipped": flipped,
    "truncated": truncated,
}


def output_types(program: dspy.Module | None) -> dict[str, Any]:
    """The annotations of a program's output fields; {} without a program."""
    predictors = [] if program is None else program.predictors()
    return {
        name: field.annotation
        for predictor in predictors
        for name, field in predictor.signature.output_fields.items()
    }


def change_outputs(outputs: Outputs, types: Types, change: Change) -> Outputs:
    """The same outputs with each value changed; models keep their class."""
    return {
        name: _changed(value, types.get(name, type(value)), change)
        for name, value in outputs.items()
    }


def in_texts(change: Callable[[str], str]) -> Change:
    """A change of every text that is not from a closed set."""

    def changed(value: Any, annotation: Any) -> Any:
        if not isinstance(value, str):
            return INSIDE
        return value if value in _allowed(value, annotation) else change(value)

    return changed


def _changed(value: Any, annotation: Any, change: Change) -> Any:
    changed = change(value, annotation)
    if changed is not INSIDE:
        return changed
    if isinstance(value, BaseModel):
        # model_copy does not validate: a spoiled output need not fit its own schema
        kinds = {n: field.annotation for n, field in type(value).model_fields.items()}
        return value.model_copy(update=dict(change_outputs(vars(value), kinds, change)))
    if isinstance(value, Mapping):
        return change_outputs(value, {}, change)
    if isinstance(value, list | tuple):
        return type(value)(_changed(part, type(part), change) for part in value)
    return value


def _drop_ids(text: str) -> str:
    return re.sub(r"  +", " ", ID.sub("", text))


def _halve(value: Any, annotation: Any) -> Any:
    if value in _allowed(value, annotation):
        return value
    if isinstance(value, str):
        return value[: len(value) // 2]
    if isinstance(value, list | tuple):
        first = value[: (len(value) + 1) // 2]
        return type(value)(_changed(part, type(part), _halve) for part in first)
    return INSIDE


def _flip(value: Any, annotation: Any) -> Any:
    if isinstance(value, bool):
        return not value
    choices = _allowed(value, annotation)
    if value in choices:
        return choices[(choices.index(value) + 1) % len(choices)]
    return INSIDE


def _allowed(value: Any, annotation: Any) -> list[Any]:
    """The closed set that a value is from; [] if there is none."""
    if isinstance(value, enum.Enum):
        return list(type(value))
    if not isinstance(value, str | int):
        return []
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    parts = [_allowed(value, part) for part in get_args(annotation)]
    return next((part for part in parts if part), [])
