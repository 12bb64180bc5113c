"""The score of one prediction: a float to DSPy, with its parts for people."""

from collections.abc import Mapping
from typing import Any

_ROUNDING = 1e-6
"""What sums and 32-bit floats may add to or take from a number in [0, 1]."""


class ScoreError(ValueError):
    """No number in [0, 1]: the fault of the metric, not of the output."""


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
        """Checks the ranges and keeps the parts."""
        score = super().__new__(cls, _fraction("score", value))
        score.components = {
            str(name): _fraction(f"component ({name})", part)
            for name, part in (components or {}).items()
        }
        score.rubric = None if rubric is None else _fraction("rubric", rubric)
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
            ScoreError: The metric returned none of these, or a number that is outside
                [0, 1] or NaN.
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
                "A metric returns a number in [0, 1] or "
                "dspy.Prediction(score=..., feedback=...), got "
                f"{type(result).__name__} ({result!r:.80})"
            )
            raise ScoreError(msg)
        return cls(value, feedback=str(getattr(result, "feedback", "") or ""))


def _fraction(name: str, value: float) -> float:
    is_number = hasattr(value, "__float__")
    if not is_number or not -_ROUNDING <= value <= 1.0 + _ROUNDING:  # NaN is refused
        msg = f"A {name} lies in [0, 1], got {value!r}"
        raise ScoreError(msg)
    return min(1.0, max(0.0, float(value)))
