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
        for asked, inputs, prediction in calls
        if list(asked.signature.fields) == fields
    ]
    return max(calls_of_it, key=lambda values: len(repr(values)), default={})


def characters(prompts: list[Messages]) -> int:
    """Characters of the longest of several prompts."""
    return max(sum(map(_length, prompt)) for prompt in prompts)


def holds_media(prompt: Messages) -> bool:
    """Whether there is an image, a sound or a file in it."""
    return any(_media(message) for message in prompt)


def _length(message: dict[str, Any]) -> int:
    content = message["content"]
    if not isinstance(content, list):
        return len(str(content))
    text = sum(len(str(part.get("text", ""))) for part in content)
    return text + _MEDIA_CHARACTERS * len(_media(message))


def _media(message: dict[str, Any]) -> list[Any]:
    content = message["content"]
    parts = content if isinstance(content, list) else []
    return [part for part in parts if part.get("type") != "text"]
