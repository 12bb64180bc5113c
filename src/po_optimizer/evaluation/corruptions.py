"""Spoiled and cheating answers, for any role: what a metric should not pay for.

Corruptions damage a reference output in one way each. Adversaries play for points: some
spoil the reference and keep its ids and closed sets, others only know the input. No
person would accept one of them as an answer; a metric that pays more for it than for
half of the reference can be gamed, and an optimizer will.
"""

import enum
import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
    drop = in_texts(lambda text: re.sub(r"  +", " ", ID.sub("", text)))
    return change_outputs(outputs, types, drop)


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


HONEST = "half of the reference"
"""Every second entry of each list, the rest as it is: what a mediocre answer earns."""


def adversaries(
    examples: Sequence[dspy.Example],
    outputs: Sequence[Outputs],
    types: Types,
    seed: int,
) -> dict[str, list[Outputs]]:
    """Each adversary's answers to all examples, by its name; the honest ones first."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    answers: dict[str, list[Outputs]] = {}
    for example, own in zip(examples, outputs, strict=True):
        words = " ".join(map(str, dict(example.inputs().items()).values())).split()
        ids = sorted(set(ID.findall(" ".join(words))))
        changes = {
            name: _in_lists(partial(change, ids=ids, rng=rng))
            for name, change in _LISTS.items()
        }
        changes |= {
            name: in_texts(partial(change, words=words, rng=rng))
            for name, change in _TEXTS.items()
        }
        for name, change in changes.items():
            answers.setdefault(name, []).append(change_outputs(own, types, change))
    answers["one answer for all"] = [outputs[0] for _ in outputs]
    return answers


def _ids(text: str) -> str:
    return ", ".join(ID.findall(text))


def _words(text: str) -> str:
    return " ".join(ID.sub("", text).split())


def _shuffled(words: list[str], n: int, rng: random.Random) -> str:
    return " ".join(rng.sample(words, min(n, len(words))))


def _stretch(words: list[str], n: int, rng: random.Random) -> str:
    start = rng.randrange(max(1, len(words) - n))
    return " ".join(words[start : start + n])


def _swapped(entries: list[str]) -> list[str]:
    others = [*entries[1:], *entries[:1]]
    return [f"{_ids(a)} {_words(b)}" for a, b in zip(entries, others, strict=True)]


def _listed(ids: list[str], entries: list[str]) -> list[str]:
    text = _words(entries[0]) if entries else ""
    return [f"{name}: {text}" for name in ids] or entries


# What becomes of a list of texts, by the ids of the input.
_LISTS: dict[str, Callable[..., list[str]]] = {
    HONEST: lambda entries, ids, rng: entries[::2],
    "reasons swapped": lambda entries, ids, rng: _swapped(entries),
    "one reason for all": lambda entries, ids, rng: [
        f"{_ids(entry)} {_words(entries[0])}" for entry in entries
    ],
    "every id listed": lambda entries, ids, rng: _listed(ids, entries),
    "random half of the ids": lambda entries, ids, rng: _listed(
        rng.sample(ids, len(ids) // 2), entries
    ),
}
# What becomes of each text, by the words of the input.
_TEXTS: dict[str, Callable[..., str]] = {
    "input copied": lambda text, words, rng: _stretch(words, len(text.split()), rng),
    "input copied, ids kept": lambda text, words, rng: (
        f"{_ids(text)} {_stretch(words, len(text.split()), rng)}"
    ),
    "input words shuffled": lambda text, words, rng: _shuffled(
        words, len(text.split()), rng
    ),
    "input in fragments": lambda text, words, rng: " for ".join(
        _stretch(words, 3, rng) for _ in range(1 + len(text.split()) // 4)
    ),
    "words shuffled": lambda text, words, rng: _shuffled(
        text.split(), len(text.split()), rng
    ),
    "words backwards": lambda text, words, rng: " ".join(text.split()[::-1]),
    "beside the point": lambda text, words, rng: (
        f"{_ids(text)} because bananas are yellow"
    ),
    "ids only": lambda text, words, rng: _ids(text) or text,
}


def _in_lists(change: Callable[[list[str]], list[str]]) -> Change:
    """A change of every list of texts."""

    def changed(value: Any, _annotation: Any) -> Any:
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return change(value)
        return INSIDE

    return changed
