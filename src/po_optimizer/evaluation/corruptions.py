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

# FR001, FR-01, NFR-12, C3: one to five capitals, an optional hyphen, digits.
ID = re.compile(r"\b[A-Z]{1,5}-?\d{1,5}\b")


def without_ids(outputs: Outputs, types: Types) -> Outputs:
    """Every requirement id in every text removed."""
    return {name: _in_texts(value, _drop_ids) for name, value in outputs.items()}


def truncated(outputs: Outputs, types: Types) -> Outputs:
    """Every text cut to its first half, every list too; closed sets are left alone."""
    return {
        name: _halved(value, types.get(name, type(value)))
        for name, value in outputs.items()
    }


def flipped(outputs: Outputs, types: Types) -> Outputs:
    """Every value of a Literal, an Enum or a bool replaced by another allowed one."""
    return {
        name: _flipped(value, types.get(name, type(value)))
        for name, value in outputs.items()
    }


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


def _drop_ids(text: str) -> str:
    return re.sub(r"  +", " ", ID.sub("", text))


def _in_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The same structure with every text changed; models keep their class."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return change(value)
    return rebuilt(value, lambda part, _: _in_texts(part, change))


def _halved(value: Any, annotation: Any) -> Any:
    if value in allowed(value, annotation):
        return value
    if isinstance(value, str):
        return value[: len(value) // 2]
    if isinstance(value, list | tuple):
        kept = value[: (len(value) + 1) // 2]
        return type(value)(_halved(part, type(part)) for part in kept)
    return rebuilt(value, _halved)


def _flipped(value: Any, annotation: Any) -> Any:
    if isinstance(value, bool):
        return not value
    choices = allowed(value, annotation)
    if value in choices:
        return choices[(choices.index(value) + 1) % len(choices)]
    return rebuilt(value, _flipped)


def allowed(value: Any, annotation: Any) -> list[Any]:
    """The closed set that a value is from; [] if there is none."""
    if isinstance(value, enum.Enum):
        return list(type(value))
    if not isinstance(value, str | int):
        return []
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    parts = [allowed(value, part) for part in get_args(annotation)]
    return next((part for part in parts if part), [])


def rebuilt(
    value: Any, change: Callable[[Any, Any], Any], types: Types | None = None
) -> Any:
    """The same structure with every part changed; models keep their class.

    Args:
        value: A model, a mapping, a list or a tuple; anything else is given back.
        change: A part and its annotation to what takes its place.
        types: A mapping's annotations, where its values do not tell.
    """
    # model_copy does not validate: a spoiled output need not fit its own schema.
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        changed = {
            n: change(getattr(value, n), f.annotation) for n, f in fields.items()
        }
        return value.model_copy(update=changed)
    if isinstance(value, Mapping):
        kinds = types if isinstance(types, Mapping) else {}
        return {n: change(part, kinds.get(n, type(part))) for n, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(change(part, type(part)) for part in value)
    return value
