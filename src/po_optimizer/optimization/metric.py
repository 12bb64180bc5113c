"""The metric as the optimizers see it: in [0, 1], or the run stops."""

from collections.abc import Callable
from typing import Any

import dspy
from dspy.teleprompt.gepa.gepa_utils import ScoreWithFeedback

from po_optimizer.optimization.stops import MetricBroken
from po_optimizer.roles import Metric
from po_optimizer.score import Score

Stop = Callable[[], None]
"""Raises the StopRun that was set, if one was; in any thread."""


class GuardedMetric:
    """A metric whose defects stop the run instead of being scored 0.0.

    DSPy swallows what a metric raises and takes NaN, None and negative numbers for
    scores; each of them once made a failed run look like a success.

    Args:
        metric: (example, prediction, trace) -> number in [0, 1] or Score.
        check: Called before each scoring, so that an ended run ends although all
            its answers come from the cache.
        stop: Told the StopRun before it is raised, so that other threads end too.
    """

    def __init__(
        self, metric: Metric, check: Stop, stop: Callable[[MetricBroken], None]
    ) -> None:
        self._metric = metric
        self._check = check
        self._stop = stop

    def __call__(
        self, example: dspy.Example, prediction: Any, trace: Any = None
    ) -> Score:
        """The score.

        Raises:
            MetricBroken: The metric raised, or gave no number in [0, 1].
        """
        self._check()
        try:
            return Score.of(self._metric(example, prediction, trace))
        except Exception as error:
            broken = MetricBroken(
                f"the metric gave no score ({type(error).__name__}: {error}) for the "
                f"example {_brief(example)}"
            )
            self._stop(broken)
            raise broken from error


class FeedbackMetric:
    """A guarded metric with GEPA's five arguments and its kind of result."""

    def __init__(self, metric: GuardedMetric) -> None:
        self._metric = metric

    def __call__(
        self,
        gold: dspy.Example,
        pred: Any,
        trace: Any = None,
        pred_name: str | None = None,
        pred_trace: Any = None,
    ) -> ScoreWithFeedback:
        """The score with its feedback, the same for the program and a predictor."""
        score = self._metric(gold, pred, trace)
        feedback = score.feedback or f"This trajectory got a score of {score.value}."
        return ScoreWithFeedback(
            score=score.value, feedback=feedback, unusable=score.unusable
        )


def is_failed(result: Any) -> bool:
    """True if an evaluation's score stands for an unusable output.

    What is neither a Score nor GEPA's result is the failure score that DSPy put in
    because the program raised.
    """
    if isinstance(result, Score):
        return result.unusable is not None
    if isinstance(result, ScoreWithFeedback):
        return result.get("unusable") is not None
    return True


def _brief(example: dspy.Example, limit: int = 120) -> str:
    text = str(dict(example.inputs().items()))
    return text if len(text) <= limit else text[:limit] + " ..."
