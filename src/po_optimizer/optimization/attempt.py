"""One run of a program on one example, and why its output could not be used."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from po_optimizer.roles.score import Score

_SHOWN = 600


@dataclass(frozen=True)
class Attempt:
    """What came of it.

    Args:
        score: None if the program raised.
        unusable: Why the output could not be used; None: it could.
        raw: The output's text, cut.
        prediction: What the program gave; None if it raised.
    """

    score: Score | None
    unusable: str | None
    raw: str
    prediction: Any = None


def attempt(
    program: dspy.Module, example: dspy.Example, metric: Callable[..., Score]
) -> Attempt:
    """Runs and scores; a StopRun passes, the program's own errors are findings."""
    try:
        prediction = program(**example.inputs())
    except AdapterParseError as error:
        reason = _cut(str(error.args[0] if error.args else error))
        return Attempt(None, reason, _cut(error.lm_response))
    except Exception as error:  # noqa: BLE001 -- whatever a program raises is the finding
        reason = f"the program raised {type(error).__name__}: {_cut(str(error))}"
        return Attempt(None, reason, "")
    history = dspy.settings.lm.history  # before the metric asks this LM, too
    raw = _cut(str(history[-1]["outputs"][0] if history else prediction))
    score = metric(example, prediction)
    return Attempt(score, score.unusable, raw, prediction)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."
