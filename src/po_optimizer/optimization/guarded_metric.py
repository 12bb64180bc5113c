"""The metric as the optimizers see it: in [0, 1], or the run stops.

A baseline of which hardly an output is usable stops the run, too.
"""

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.teleprompt.gepa.gepa_utils import ScoreWithFeedback
from dspy.utils.exceptions import AdapterParseError, LMError

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.stops import (
    LMUnreachable,
    MetricBroken,
    StopRun,
    failure_of,
    unwrapped,
)
from po_optimizer.lms.visible import first_words
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.journal import Trial
from po_optimizer.roles.metric import (
    JudgeUnreadableError,
    Measure,
    Metric,
    call_metric,
    output_names,
)
from po_optimizer.roles.score import Score, ScoreError

_SHOWN, _SHOWN_INPUTS = 600, 120  # characters
Stop = Callable[[], None]
"""Raises the StopRun that was set, if one was; in any thread."""


class GuardedMetric:
    """A metric whose defects stop the run instead of being scored 0.0.

    DSPy swallows what a metric raises and takes NaN, None and negative numbers for
    scores; each of them once made a failed run look like a success.

    Args:
        metric: Any callable that DSPy's optimizers take.
        check: Called before each scoring, so that an ended run ends although all
            its answers come from the cache.
        stop: Called with the StopRun before it is raised, so that other threads
            end too.
    """

    def __init__(
        self, metric: Metric, check: Stop, stop: Callable[[StopRun], None]
    ) -> None:
        self.unguarded = metric
        self._measure = Measure(metric)
        self._check = check
        self._stop = stop

    def __call__(self, example: dspy.Example, prediction: Any, *optional: Any) -> Score:
        """The score, with as many arguments as the caller gives.

        Raises:
            MetricBroken: The metric raised, or gave no number in [0, 1].
            LMUnreachable: The LM that the metric asks stayed away.
        """
        self._check()
        try:
            return self._measure(example, prediction, *optional)
        except JudgeUnreadableError as error:
            return Score(0.0, feedback=str(error), unusable=str(error))
        except LMError as error:
            stop: StopRun = LMUnreachable("of role.metric", "its address", str(error))
            cause: Exception = error
        except Exception as error:  # noqa: BLE001 -- whatever it is stops the run
            stop = MetricBroken(
                f"the metric gave no score ({type(error).__name__}: {error}) for the "
                f"example {shown_inputs(example)}"
            )
            cause = error
        self._stop(stop)
        raise stop from cause


class FeedbackMetric:
    """A guarded metric with GEPA's five arguments and its kind of result."""

    def __init__(self, metric: Callable[..., Score]) -> None:
        self._metric = metric

    def __call__(
        self, gold: dspy.Example, pred: Any, *optional: Any
    ) -> ScoreWithFeedback:
        """The score with its feedback: on the program, or on the predictor named."""
        score = self._metric(gold, pred, *optional)
        feedback = score.feedback or f"This trajectory got a score of {score.value}."
        return ScoreWithFeedback(
            score=score.value, feedback=feedback, unusable=score.unusable
        )


def empty_scores(
    metric: Metric, example: dspy.Example, outputs: Collection[str]
) -> list[float]:
    """Scores of outputs without content, except where the metric raises.

    Args:
        metric: Any callable that DSPy's optimizers take.
        example: What the outputs would answer.
        outputs: The names of the outputs that are left out, or blank.

    Raises:
        ScoreError: The metric gave no number in [0, 1].
    """
    results = []
    for blank in (dspy.Prediction(), dspy.Prediction(**dict.fromkeys(outputs, ""))):
        try:
            results.append(call_metric(metric, example, blank))
        except (LMError, ScoreError):
            raise
        except Exception:  # noqa: BLE001, S112 -- it did not take it for a good one
            continue
    return [Score.of(result).value for result in results]


def is_failed(result: Any) -> bool:
    """True if an evaluation's score is that of an unusable output.

    What is neither a Score nor GEPA's result is the failure score that DSPy put in
    because the program raised.
    """
    if isinstance(result, Score):
        return result.unusable is not None
    if isinstance(result, ScoreWithFeedback):
        return result.get("unusable") is not None
    return True


def stop_at_floor(job: Job, baseline: Trial, results: list[Any]) -> None:
    """Stops the run if the baseline leaves the optimizer nothing to work with.

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
        example, prediction, _ = results[0]
        metric = getattr(job.metric, "unguarded", job.metric)
        with suppress(ScoreError):
            empty = empty_scores(metric, example, output_names(prediction))
            floor = max([floor, *empty])
    above = max(scores) > floor
    if not params.floor_stop or (usable >= params.floor_usable and above):
        return
    problem = (
        f"{baseline.n_failed} of {baseline.n} outputs of the baseline program are "
        f"unusable (optimize.floor_usable={params.floor_usable})"
        if usable < params.floor_usable
        else f"no score of the baseline program is above {floor} (n={baseline.n}), "
        "which an empty output may get, too"
    )
    example = next((e for e, _, s in results if is_failed(s)), results[0][0])
    repeated = attempt(job.student, example, job.metric)  # answered by the cache
    feedback = repeated.score.feedback if repeated.score is not None else ""
    reason = repeated.unusable or feedback or "it scores no more than an empty answer"
    raise PoOptimizerError(
        f"{problem}; so candidates could not be told apart. One of the "
        f"outputs could not be used because: {reason}. It reads: {repeated.raw!r}. "
        "Correct the program, the metric or the LM "
        "(optimize.floor_stop=false goes on regardless)."
    )


class FloorWatch:
    """A metric that notices when the baseline can no longer stop at the floor.

    Args:
        job: Its parameters say where the floor is.
        clear: Called once, in the thread of the score that settles it.
    """

    def __init__(self, job: Job, clear: Callable[[], object]) -> None:
        self._job = job
        self._clear: Callable[[], object] | None = clear
        self._scores: list[Any] = []
        self._lock = threading.Lock()

    def __call__(self, example: dspy.Example, prediction: Any, *optional: Any) -> Any:
        """The score."""
        score = self._job.metric(example, prediction, *optional)
        with self._lock:
            self._scores.append(score)
            clear = self._clear if self._is_settled() else None
            self._clear = None if clear else self._clear
        if clear is not None:
            clear()
        return score

    def _is_settled(self) -> bool:
        params, scores = self._job.params, {float(score) for score in self._scores}
        usable = sum(not is_failed(score) for score in self._scores)
        above = len(scores) > 1 and max(scores) > params.preflight.max_empty_score
        enough = usable >= params.floor_usable * len(self._job.valset)
        return not params.floor_stop or (above and enough)


@dataclass(frozen=True)
class Attempt:
    """What one run of a program gave.

    Args:
        score: None if the program raised.
        unusable: Why the output could not be used; None: it could.
        raw: The output's text, cut.
        prediction: What the program gave; None if it raised.
        program: The copy that was run; None if it raised.
    """

    score: Score | None
    unusable: str | None
    raw: str
    prediction: Any = None
    program: Any = None


def attempt(
    program: dspy.Module, example: dspy.Example, metric: Callable[..., Score]
) -> Attempt:
    """Runs a copy of the program and scores its output; its errors are recorded."""
    copied = program.deepcopy()
    try:
        prediction = copied(**example.inputs())
    except AdapterParseError as error:
        reason = _cut(str(error.args[0] if error.args else error))
        return Attempt(None, reason, _cut(error.lm_response))
    except BaseException as raised:  # noqa: BLE001 -- whatever a program raises
        cause = unwrapped(raised)
        if not isinstance(cause, Exception):
            raise cause  # noqa: B904 -- its own cause stays
        words = first_words(failure_of(cause), _SHOWN)
        return Attempt(None, f"the program raised {type(cause).__name__}: {words}", "")
    history = dspy.settings.lm.history  # before the metric asks this LM, too
    outputs = history[-1]["outputs"] if history else [prediction]
    raw = _cut(str(next(iter(outputs), "")))
    score = metric(example, prediction)
    return Attempt(score, score.unusable, raw, prediction, copied)


def shown_inputs(example: dspy.Example) -> str:
    """The example's inputs, cut, for a message."""
    return _cut(str(dict(example.inputs().items())), _SHOWN_INPUTS)


def _cut(text: str, limit: int = _SHOWN) -> str:
    return text if len(text) <= limit else text[:limit] + " ..."
