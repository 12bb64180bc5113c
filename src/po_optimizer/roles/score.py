"""The score of one prediction: a float to DSPy, with its parts for people."""

from collections.abc import Mapping
from typing import Any

_ROUNDING = 1e-6
"""What sums and 32-bit floats may add to or take from a number in [0, 1]."""


class Score(float):
    """One prediction's objective in [0, 1], higher is better, with its explanation.

    A subclass of float, so that DSPy's optimizers, `Evaluate` and `sum` take it as
    the number it is. Metrics of other projects may return a plain float: `Score.of`
    reads either.

    Args:
        value: The objective, in [0, 1].
        components: Named parts, each in [0, 1], higher is better.
        rubric: The part that is compared with the original project's target,
            in [0, 1]; None for metrics without one.
        feedback: Why the value is not 1.0, one sentence a line; "" at 1.0.
        unusable: Why the output could not be read; None when it could be.
    """

    __slots__ = ("components", "feedback", "rubric", "unusable")

    components: Mapping[str, float]
    rubric: float | None
    feedback: str
    unusable: str | None

    def __new__(
        cls,
        value: float,
        components: Mapping[str, float] | None = None,
        rubric: float | None = None,
        feedback: str = "",
        unusable: str | None = None,
    ) -> "Score":
        """Checks the range and keeps the parts."""
        if not -_ROUNDING <= value <= 1.0 + _ROUNDING:  # also refuses NaN
            msg = f"a score lies in [0, 1], got {value!r}"
            raise ValueError(msg)
        score = super().__new__(cls, min(1.0, max(0.0, value)))
        score.components = dict(components or {})
        score.rubric = rubric
        score.feedback = feedback
        score.unusable = unusable
        return score

    def __getnewargs__(self) -> tuple[Any, ...]:
        """What copy and pickle rebuild the score from."""
        return (
            float(self),
            self.components,
            self.rubric,
            self.feedback,
            self.unusable,
        )

    @property
    def value(self) -> float:
        """The objective as a plain float, in [0, 1]."""
        return float(self)

    @classmethod
    def of(cls, result: Any) -> "Score":
        """What a metric returned, as a Score.

        Args:
            result: A Score, a number or bool (numpy's too), or an object with `score`
                and perhaps `feedback`, as DSPy's Prediction and ScoreWithFeedback.

        Raises:
            TypeError: The metric returned none of these.
            ValueError: The number is outside [0, 1] or NaN.
        """
        if isinstance(result, Score):
            return result
        number = getattr(result, "score", result)
        if number is result and hasattr(result, "keys"):
            number = None  # a Prediction converts to the score that it does not have
        try:
            value = float(number) if hasattr(number, "__float__") else None
        except TypeError:  # an array of several numbers
            value = None
        if value is None:
            msg = (
                "a metric returns a number in [0, 1] or "
                "dspy.Prediction(score=..., feedback=...), got "
                f"{type(result).__name__} ({result!r:.80})"
            )
            raise TypeError(msg)
        return cls(value, feedback=str(getattr(result, "feedback", "") or ""))
