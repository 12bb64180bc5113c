"""Prompts as the adapter will render them, without asking an LM."""

from collections.abc import Sequence
from typing import Any

import dspy

Messages = list[dict[str, Any]]
Call = tuple[Any, dict[str, Any], Any]
"""A predictor, its inputs and its prediction, as DSPy's trace has them."""

_MEDIA_CHARACTERS = 4000
"""An image or a file counts as so much text, about 1,000 tokens."""
_CANNOT_RENDER = (TypeError, ValueError, AttributeError, LookupError, RuntimeError)


def rendered(
    program: dspy.Module, example: dspy.Example, calls: Sequence[Call] = ()
) -> list[Messages]:
    """Each predictor's messages for one example; without those that have none.

    A predictor that reads what an earlier one wrote gets the example's field of that
    name, else what it got in one of the calls, else the field's name.
    """
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    prompts = []
    for predictor in program.predictors():
        values = {**longest_call(predictor, calls), **dict(example.items())}
        names = predictor.signature.input_fields
        inputs = {name: values.get(name, f"<{name}>") for name in names}
        try:
            prompts.append(adapter.format(predictor.signature, predictor.demos, inputs))
        except _CANNOT_RENDER:
            continue  # its type takes no text, and no call shows what it takes
    return prompts


def longest_call(predictor: Any, calls: Sequence[Call]) -> dict[str, Any]:
    """Inputs and outputs of the longest call of a predictor with the same fields."""
    fields = list(predictor.signature.fields)
    calls_of_it = [
        {**inputs, **dict(prediction.items())}
        for called, inputs, prediction in calls
        if list(called.signature.fields) == fields
    ]
    return max(calls_of_it, key=lambda values: len(repr(values)), default={})


def characters(prompt: Messages) -> int:
    """Characters of a prompt; a part that is no text counts as `_MEDIA_CHARACTERS`."""
    return sum(
        len(str(part.get("text", "")))
        if part.get("type") == "text"
        else _MEDIA_CHARACTERS
        for part in _parts(prompt)
    )


def holds_media(prompt: Messages) -> bool:
    """Whether there is an image, a sound or a file in it."""
    return any(part.get("type") != "text" for part in _parts(prompt))


def _parts(prompt: Messages) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for message in prompt:
        content = message["content"]
        is_list = isinstance(content, list)
        parts += content if is_list else [{"type": "text", "text": str(content)}]
    return parts
