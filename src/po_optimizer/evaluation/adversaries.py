"""Answers that play for points, for any role: what a metric should not pay for.

Some spoil the reference and keep its ids and closed sets, others only know the input.
None gives an answer that a person would accept; a metric that pays more for it than for
half of the reference can be gamed, and an optimizer will.
"""

import enum
import random
from collections.abc import Callable, Sequence
from typing import Any

import dspy

from po_optimizer.evaluation.corruptions import ID, Outputs, Types, allowed, rebuilt

HONEST = "half of the reference"
"""Every second entry of each list, the rest as it is: what a mediocre answer earns."""

Change = Callable[[str], str]
Lists = Callable[[list[str]], list[str]]


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
        given = " ".join(map(str, dict(example.inputs().items()).values())).split()
        ids = sorted(set(ID.findall(" ".join(given))))
        for name, lists in _LISTS.items():
            answers.setdefault(name, []).append(_in_lists(own, types, lists(ids, rng)))
        for name, texts in _TEXTS.items():
            answers.setdefault(name, []).append(
                _in_texts(own, types, texts(given, rng))
            )
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
    return [f"{one}: {text}" for one in ids] or entries


# What becomes of a list of texts, by the ids of the input.
_LISTS: dict[str, Callable[[list[str], random.Random], Lists]] = {
    HONEST: lambda ids, rng: lambda entries: entries[::2],
    "reasons swapped": lambda ids, rng: _swapped,
    "one reason for all": lambda ids, rng: (
        lambda entries: [f"{_ids(entry)} {_words(entries[0])}" for entry in entries]
    ),
    "every id listed": lambda ids, rng: lambda entries: _listed(ids, entries),
    "random half of the ids": lambda ids, rng: (
        lambda entries: _listed(rng.sample(ids, len(ids) // 2), entries)
    ),
}
# What becomes of each text, by the words of the input.
_TEXTS: dict[str, Callable[[list[str], random.Random], Change]] = {
    "input copied": lambda given, rng: (
        lambda text: _stretch(given, len(text.split()), rng)
    ),
    "input copied, ids kept": lambda given, rng: (
        lambda text: f"{_ids(text)} {_stretch(given, len(text.split()), rng)}"
    ),
    "input words shuffled": lambda given, rng: (
        lambda text: _shuffled(given, len(text.split()), rng)
    ),
    "input in fragments": lambda given, rng: (
        lambda text: " for ".join(
            _stretch(given, 3, rng) for _ in range(1 + len(text.split()) // 4)
        )
    ),
    "words shuffled": lambda given, rng: (
        lambda text: _shuffled(text.split(), len(text.split()), rng)
    ),
    "words backwards": lambda given, rng: lambda text: " ".join(text.split()[::-1]),
    "beside the point": lambda given, rng: (
        lambda text: f"{_ids(text)} because bananas are yellow"
    ),
    "ids only": lambda given, rng: lambda text: _ids(text) or text,
}


def _in_texts(value: Any, annotation: Any, change: Change) -> Any:
    """The same with every text changed; closed sets are left alone."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value if value in allowed(value, annotation) else change(value)
    return rebuilt(value, lambda part, kind: _in_texts(part, kind, change), annotation)


def _in_lists(value: Any, annotation: Any, change: Lists) -> Any:
    """The same with every list of texts changed."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return change(value)
    return rebuilt(value, lambda part, kind: _in_lists(part, kind, change), annotation)
