"""Stops an optimization whose baseline gives hardly any usable output."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from po_optimizer.errors import PoOptimizerError
from po_optimizer.optimization.guarded_metric import is_failed, scores_when_empty
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.journal import Trial
from po_optimizer.roles.score import Score

_SHOWN = 600


def stop_at_floor(job: Job, baseline: Trial, results: list[Any]) -> None:
    """Raises if the baseline leaves the optimizer nothing to work with.

    Args:
        job: Its parameters say where the floor is.
        baseline: The trial of the baseline's evaluation.
        results: Its (example, prediction, score).

    Raises:
        PoOptimizerError: Hardly an output is usable, or no score is above the floor.
    """
    params = job.params
    usable = (baseline.n - baseline.n_failed) / baseline.n
    floor = params.preflight.max_empty_score
    scores = {float(score) for *_, score in results}
    if len(scores) == 1:
        floor = max([floor, *scores_when_empty(job.metric, *results[0][:2])])
    above = max(scores) > floor
    if not params.floor_stop or (usable >= params.floor_usable and above):
        return
    problem = (
        f"{baseline.n_failed} of {baseline.n} outputs of the baseline program are "
        f"unusable (optimize.floor_usable={params.floor_usable})"
        if usable < params.floor_usable
        else f"no score of the baseline program is above {floor}, which an empty "
        f"output may have (n={baseline.n})"
    )
    example = next((e for e, _, s in results if is_failed(s)), results[0][0])
    repeated = attempt(job.student, example, job.metric)  # answered by the cache
    feedback = repeated.score.feedback if repeated.score is not None else ""
    reason = repeated.unusable or feedback or "it scores no more than an empty answer"
    raise PoOptimizerError(
        f"{problem}; an optimizer cannot tell candidates apart on that. One of the "
        f"outputs could not be used because: {reason}. It reads: {repeated.raw!r}. "
        "Correct the program, the metric or the LM "
        "(optimize.floor_stop=false goes on regardless)."
    )


@dataclass(frozen=True)
class Attempt:
    """What one run of a program gave.

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
