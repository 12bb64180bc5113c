"""Keeps a block from asking any LM."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback


class LMAsked(BaseException):
    """An LM was about to be asked; no `except Exception` of a judge hides it."""


class _Refuse(BaseCallback):
    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        raise LMAsked


@contextmanager
def no_lm_calls() -> Iterator[None]:
    """Within the block a call of any dspy.LM raises LMAsked before it is sent."""
    callbacks = [*dspy.settings.get("callbacks", []), _Refuse()]
    with dspy.context(lm=dspy.LM("openai/none", api_key="none"), callbacks=callbacks):
        yield
