"""Prompts as the adapter will render them, without asking an LM."""

from typing import Any

import dspy

Messages = list[dict[str, Any]]


def rendered(program: dspy.Module, example: dspy.Example) -> list[Messages]:
    """Each predictor's messages for one example.

    A predictor that reads what an earlier one wrote gets the example's field of that
    name, or nothing.
    """
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    values = dict(example.items())
    return [
        adapter.format(
            predictor.signature,
            predictor.demos,
            {name: values.get(name, "") for name in predictor.signature.input_fields},
        )
        for predictor in program.predictors()
    ]


def characters(prompts: list[Messages]) -> int:
    """Characters of the longest of several prompts."""
    return max(sum(len(str(m["content"])) for m in prompt) for prompt in prompts)
