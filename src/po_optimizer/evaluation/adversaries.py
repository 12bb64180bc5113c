"""Answers that play for points, for any role: what a metric should not pay for.

Some spoil the reference and keep its ids and closed sets, others only know the input.
None gives an answer that a person would accept; a metric that pays more for it than for
half of the reference can be gamed, and an optimizer will.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import dspy

from po_optimizer.evaluation.corruptions import (
    ID,
    INSIDE,
    Change,
    Outputs,
    Types,
    change_outputs,
    in_texts,
)

HONEST = "half of the reference"
"""Every second entry of each list, the rest as it is: what a mediocre answer earns."""

Texts = Callable[[str], str]
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
        words = " ".join(map(str, dict(example.inputs().items()).values())).split()
        ids = sorted(set(ID.findall(" ".join(words))))
        changes = {name: _in_lists(make(ids, rng)) for name, make in _LISTS.items()}
        changes |= {name: in_texts(make(words, rng)) for name, make in _TEXTS.items()}
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
_TEXTS: dict[str, Callable[[list[str], random.Random], Texts]] = {
    "input copied": lambda words, rng: (
        lambda text: _stretch(words, len(text.split()), rng)
    ),
    "input copied, ids kept": lambda words, rng: (
        lambda text: f"{_ids(text)} {_stretch(words, len(text.split()), rng)}"
    ),
    "input words shuffled": lambda words, rng: (
        lambda text: _shuffled(words, len(text.split()), rng)
    ),
    "input in fragments": lambda words, rng: (
        lambda text: " for ".join(
            _stretch(words, 3, rng) for _ in range(1 + len(text.split()) // 4)
        )
    ),
    "words shuffled": lambda words, rng: (
        lambda text: _shuffled(text.split(), len(text.split()), rng)
    ),
    "words backwards": lambda words, rng: lambda text: " ".join(text.split()[::-1]),
    "beside the point": lambda words, rng: (
        lambda text: f"{_ids(text)} because bananas are yellow"
    ),
    "ids only": lambda words, rng: lambda text: _ids(text) or text,
}


def _in_lists(change: Lists) -> Change:
    """A change of every list of texts."""

    def changed(value: Any, _annotation: Any) -> Any:
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return change(value)
        return INSIDE

    return changed
