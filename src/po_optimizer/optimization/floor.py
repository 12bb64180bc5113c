"""The floor: a baseline on which no optimizer can tell candidates apart."""

from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from po_optimizer.errors import FloorStopError
from po_optimizer.optimization.journal import Trial
from po_optimizer.optimization.metric import GuardedMetric, is_failed
from po_optimizer.params import OptimizeParams

_SHOWN = 600


def stop_at_floor(
    baseline: Trial,
    results: list[Any],
    program: dspy.Module,
    metric: GuardedMetric,
    params: OptimizeParams,
) -> None:
    """Lets an optimization go on if its baseline gives it something to work with.

    Args:
        baseline: The trial of the baseline's evaluation.
        results: Its (example, prediction, score).
        program: The baseline program.
        metric: Says why an output could not be used.
        params: `floor_stop`, `floor_usable` and the score of an empty output.

    Raises:
        FloorStopError: Hardly an output is usable, or no score is above the floor.
    """
    usable = (baseline.n - baseline.n_failed) / baseline.n
    floor = params.preflight.max_empty_score
    above = any(float(score) > floor for *_, score in results)
    if not params.floor_stop or (usable >= params.floor_usable and above):
        return
    found = (
        f"{baseline.n_failed} of {baseline.n} outputs of the baseline program are "
        f"unusable (optimize.floor_usable={params.floor_usable})"
        if usable < params.floor_usable
        else f"no score of the baseline program is above {floor} (n={baseline.n})"
    )
    example = next((e for e, _, s in results if is_failed(s)), results[0][0])
    reason, raw = look_again(program, example, metric)
    raise FloorStopError(found, reason, raw)


def look_again(
    program: dspy.Module, example: dspy.Example, metric: GuardedMetric
) -> tuple[str, str]:
    """Why one output could not be used, and its raw text; answered by the cache."""
    lm = dspy.settings.lm
    try:
        prediction = program(**example.inputs())
    except AdapterParseError as error:
        return _cut(str(error.args[0] if error.args else error)), _cut(
            error.lm_response
        )
    except Exception as error:  # noqa: BLE001 -- the program's own failure is the finding
        return f"the program raised {type(error).__name__}: {_cut(str(error))}", ""
    score = metric(example, prediction)
    last = lm.history[-1]["outputs"] if lm.history else [str(prediction)]
    raw = last[0] if isinstance(last[0], str) else last[0].get("text", str(last[0]))
    return score.unusable or score.feedback or f"score={score.value}", _cut(raw)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."
