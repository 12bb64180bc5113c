"""Means with interval and test, and how many examples would prove an uplift.

Plain data and arithmetic: reports are read without the libraries that computed them.
"""

import math
from statistics import NormalDist
from typing import Literal

from po_optimizer.params.base import Result

_RULE_OF_THREE = 3.0


class Interval(Result):
    """A confidence interval; `confidence` is the probability it claims, in (0, 1).

    `gaffke` holds for any scores in their range, rare failures too. `bca` resamples
    what was measured. `paired` is BCa widened by what n pairs cannot show: answers
    lost whole (the rule of three) and gains (Gaffke). `min_max` is the range of the
    values themselves and claims nothing of others (confidence 1). Reports of before
    hold `abc` and `clopper_pearson`, too.
    """

    low: float
    high: float
    confidence: float
    method: Literal["bca", "abc", "clopper_pearson", "gaffke", "paired", "min_max"]


class Estimate(Result):
    """A mean with the n it rests on; `note` says what limits it, or is "".

    Attributes:
        n: Examples.
        n_groups: What is independent, where examples come in groups; None: each
            example is.
        sd_groups: SD of the groups' shares in the mean (`share_of_groups`).
    """

    mean: float | None
    n: int
    sd: float | None = None
    n_groups: int | None = None
    sd_groups: float | None = None
    interval: Interval | None = None
    note: str = ""

    @property
    def n_independent(self) -> int:
        """Groups, or examples that stand alone."""
        return self.n if self.n_groups is None else self.n_groups

    def describe(self, mean: str = ".3f", limit: str = ".3f") -> str:
        """The mean with its interval, "-" without a mean.

        Args:
            mean: Its format.
            limit: That of the interval's limits.
        """
        if self.mean is None:
            return "-"
        text, span = f"{self.mean:{mean}}", self.interval
        if span is None or span.low == span.high:
            return text
        return f"{text} ({span.low:{limit}} to {span.high:{limit}})"


class PairedTest(Result):
    """A two-sided sign-flip test of the paired differences.

    `exact` went through all 2^n sign patterns, `permutation` through a sample.
    """

    p_value: float
    method: Literal["exact", "permutation"]


class Origin(Result):
    """What a report was measured with; two reports compare only if it is the same.

    Attributes:
        testset: sha256 over the testset's records in their order.
        metric: Import path and arguments.
        program: Import path of the program's class.
    """

    testset: str
    metric: str
    program: str


def answers_to_pay(alpha: float) -> float:
    """Answers lost whole that n examples without one do not exclude: 3 at 0.05.

    A loss of probability x / n escapes n examples with probability exp(-x).
    """
    return _RULE_OF_THREE * math.log(alpha) / math.log(0.05)


def examples_needed(
    uplift: float, sd: float, baseline_mean: float, alpha: float
) -> int | None:
    """Examples that show an uplift of this size in 8 of 10 measurements.

    The largest of three numbers: what the test needs, by the normal approximation
    ((z_alpha + z_power) * sd / uplift)^2; what the gains need to pay for rare losses;
    what the sign-flip test needs to reach alpha at all. None if the uplift is not
    above 0.
    """
    if uplift <= 0.0:
        return None
    z = NormalDist().inv_cdf(1.0 - alpha / 2) + NormalDist().inv_cdf(0.8)
    return max(
        math.ceil((z * sd / uplift) ** 2),
        math.floor(answers_to_pay(alpha) * baseline_mean / uplift) + 1,
        math.ceil(1.0 - math.log2(alpha)),
    )
