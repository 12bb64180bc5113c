"""How programs are measured, and what one must show to be promoted."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from po_optimizer.params.base import Fraction, Params


class PromotionOverride(Params):
    """A decision by hand, recorded with who and why."""

    decision: Literal["promote", "keep_baseline"]  # instead of the measured one
    by: Annotated[str, Field(min_length=1)]  # who decided
    reason: Annotated[str, Field(min_length=1)]  # why, for those who read the report


class PromotionParams(Params):
    """What an optimized program must show to replace the baseline."""

    target_rubric: Fraction = 0.88  # mean that the program must reach
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95  # of each interval
    num_resamples: Annotated[int, Field(ge=1000)] = 9999  # of bootstrap and test
    seed: int = 9  # of bootstrap and test
    num_compared: PositiveInt = 1  # programs that share this testset
    compared_in: str | None = None  # their common name; null: the run
    override: PromotionOverride | None = None

    @property
    def alpha(self) -> float:
        """1 - confidence, without the rounding of the subtraction."""
        return round(1.0 - self.confidence, 12)


class FailBelow(Params):
    """Bounds below which `evaluate` exits non-zero (for CI); null: no bound."""

    rubric: Fraction | None = None
    uplift: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    coverage: Fraction = 1.0  # share of scored examples


class FailAbove(Params):
    """Bounds above which `evaluate` exits non-zero (for CI); null: no bound."""

    tokens_per_call: PositiveFloat | None = None  # mean, prompt and completion
    p95_seconds: PositiveFloat | None = None  # per example, of answers not cached


class EvaluateParams(Params):
    """How both programs are measured on the testset."""

    repeats: PositiveInt = 1  # answers to each example; its score is their mean
    fail_below: FailBelow = FailBelow()
    fail_above: FailAbove = FailAbove()
