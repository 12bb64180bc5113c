"""Means with intervals, a paired test, and what chance alone would show.

References:
    Efron, B. (1987). Better bootstrap confidence intervals. JASA 82(397).
    DiCiccio, T. & Efron, B. (1992). More accurate confidence intervals in exponential
        families. Biometrika 79(2).
    Clopper, C. & Pearson, E. (1934). The use of confidence or fiducial limits.
    Phipson, B. & Smyth, G. (2010). Permutation p-values should never be zero.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy  # its parts load when they are used; stats takes a second
from numpy.typing import NDArray

from po_optimizer.evaluation.records import Result
from po_optimizer.params import PromotionParams

SMALL_N = 8  # below it a BCa interval is too narrow to be taken at its word
MIN_N = 3  # below it there is no BCa interval
LARGE_N = 2000  # from it on resampling takes minutes and shows nothing more
_AT_ONCE = 500_000  # resampled values in memory, about 20 bytes each with all copies


class Interval(Result):
    """A confidence interval; `confidence` is the probability it claims, in (0, 1).

    `bca` resamples, `abc` is its analytic form for `LARGE_N` values or more,
    `clopper_pearson` stands where all values are equal.
    """

    low: float
    high: float
    confidence: float
    method: Literal["bca", "abc", "clopper_pearson"]


class Estimate(Result):
    """A mean with the n it rests on; `note` says what limits it, or is ""."""

    mean: float | None
    n: int
    sd: float | None = None
    interval: Interval | None = None
    note: str = ""


class PairedTest(Result):
    """A two-sided sign-flip test of the paired differences.

    `exact` went through all 2^n sign patterns, `permutation` through a sample.
    """

    p_value: float
    method: Literal["exact", "permutation"]


def estimate(
    values: Sequence[float],
    params: PromotionParams,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """The mean of the values with its interval.

    Equal values give the bootstrap nothing to resample. They still bound the share
    of unseen examples that differ (Clopper-Pearson for 0 of n), and those could lie
    at either bound: that interval is given instead.

    Args:
        values: One number an example.
        params: Confidence, number of resamples, seed.
        bounds: The range a value can have.
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    if n == 0:
        return Estimate(mean=None, n=0, note="nothing was measured")
    mean = float(data.mean())
    if n < MIN_N:
        return Estimate(mean=mean, n=n, note=f"n={n} is too small for an interval")
    sd = float(data.std(ddof=1))
    if np.ptp(data) == 0.0:
        equal = _interval_of_equal(mean, n, params.confidence, bounds)
        note = (
            f"all {n} values are equal: the interval bounds unseen examples that differ"
        )
        return Estimate(mean=mean, n=n, sd=0.0, interval=equal, note=note)
    note = (
        f"n={n}: the interval is likely too narrow, read it as a rough range"
        if n < SMALL_N
        else ""
    )
    interval = (_bca if n < LARGE_N else _abc)(data, params)
    return Estimate(mean=mean, n=n, sd=sd, interval=interval, note=note)


def paired_test(differences: Sequence[float], params: PromotionParams) -> PairedTest:
    """The two-sided p-value of no difference, by flipping the differences' signs.

    Exact as long as 2^n patterns are no more than `num_resamples`, else from that
    many drawn patterns, counting the observed one.
    """
    data = np.asarray(differences, dtype=float)
    exact = 2 ** len(data) <= params.num_resamples  # a float overflows at 1,024
    method: Literal["exact", "permutation"] = "exact" if exact else "permutation"
    if not np.any(data):
        return PairedTest(p_value=1.0, method=method)
    if len(data) >= LARGE_N:
        return PairedTest(p_value=_flipped(data, params), method=method)
    result = scipy.stats.permutation_test(
        (data,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=params.num_resamples,
        batch=_batch(len(data)),
        alternative="two-sided",
        rng=np.random.default_rng(params.seed),
    )
    return PairedTest(p_value=float(result.pvalue), method=method)


def noise_floor(num_candidates: int, n: int, sd_differences: float) -> float:
    """How far the best of K equally good candidates seems to rise on n examples.

    The expected largest of K means of n scores is `m_K * sd / sqrt(n)` above the
    truth, m_K being the expected maximum of K standard normals. Two programs' paired
    differences hold the noise of both, hence sd = sd_differences / sqrt(2).

    Args:
        num_candidates: K, the candidates that were scored.
        n: The examples that each was scored on.
        sd_differences: SD of the paired differences of two programs.

    Returns:
        Score points in [0, 1] that selection alone adds on the valset.
    """
    sd = sd_differences / math.sqrt(2)
    return expected_maximum(num_candidates) * sd / math.sqrt(n)


def expected_maximum(num_candidates: int) -> float:
    """The expected maximum of K independent standard normals; 0.0 for K=1."""

    def density(x: float) -> float:
        others = scipy.stats.norm.cdf(x) ** (num_candidates - 1)
        return float(x * num_candidates * scipy.stats.norm.pdf(x) * others)

    value, _ = scipy.integrate.quad(density, -10.0, 10.0)
    return max(0.0, float(value)) if num_candidates > 1 else 0.0


def examples_needed(uplift: float, sd: float, confidence: float) -> int | None:
    """Examples that show an uplift of this size in 8 of 10 measurements.

    The normal approximation ((z_confidence + z_power) * sd / uplift)^2; None if
    the uplift is not above 0.
    """
    if uplift <= 0.0:
        return None
    z = scipy.stats.norm.ppf(0.5 + confidence / 2) + scipy.stats.norm.ppf(0.8)
    return math.ceil((float(z) * sd / uplift) ** 2)


def examples_at_least(confidence: float) -> int:
    """The n from which the sign-flip test can reach p <= 1 - confidence: 2 / 2^n."""
    return math.ceil(1.0 - math.log2(round(1.0 - confidence, 12)))


def _bca(data: NDArray[np.float64], params: PromotionParams) -> Interval | None:
    result = scipy.stats.bootstrap(
        (data,),
        np.mean,
        confidence_level=params.confidence,
        n_resamples=params.num_resamples,
        batch=_batch(len(data)),
        method="BCa",
        rng=np.random.default_rng(params.seed),
    )
    low, high = (float(limit) for limit in result.confidence_interval)
    if math.isnan(low) or math.isnan(high):  # scipy's answer to degenerate data
        return None
    return Interval(low=low, high=high, confidence=params.confidence, method="bca")


def _batch(n: int) -> int:
    """Resamples at a time; the results do not depend on it."""
    return max(1, _AT_ONCE // n)


def _abc(data: NDArray[np.float64], params: PromotionParams) -> Interval:
    """The BCa interval of a mean in closed form, exact to the second order.

    A mean is linear in the data: its bias correction equals its acceleration a, and
    a limit lies w / (1 - a w)^2 standard errors from the mean, w being a + z.
    """
    deviations = data - data.mean()
    squares = float((deviations**2).sum())
    error = math.sqrt(squares) / len(data)
    acceleration = float((deviations**3).sum()) / (6.0 * squares**1.5)
    z = float(scipy.stats.norm.ppf(0.5 + params.confidence / 2))
    low, high = (
        float(data.mean()) + error * w / (1.0 - acceleration * w) ** 2
        for w in (acceleration - z, acceleration + z)
    )
    # no resample has a mean beyond the data
    low, high = max(low, float(data.min())), min(high, float(data.max()))
    return Interval(low=low, high=high, confidence=params.confidence, method="abc")


def _flipped(data: NDArray[np.float64], params: PromotionParams) -> float:
    """The p-value of `num_resamples` random sign patterns, the observed one counted."""
    rng = np.random.default_rng(params.seed)
    least = abs(float(data.sum())) * (1.0 - 1e-12)  # sums of another order are equal
    extreme, left = 1, params.num_resamples
    while left > 0:
        flips = rng.integers(0, 2, (min(_batch(len(data)), left), len(data)), np.int8)
        sums = data.sum() - 2.0 * (flips @ data)
        extreme += int(np.count_nonzero(np.abs(sums) >= least))
        left -= len(flips)
    return extreme / (params.num_resamples + 1)


def _interval_of_equal(
    value: float, n: int, confidence: float, bounds: tuple[float, float]
) -> Interval:
    unseen = 1.0 - ((1.0 - confidence) / 2) ** (1.0 / n)
    low, high = ((1.0 - unseen) * value + unseen * bound for bound in bounds)
    return Interval(low=low, high=high, confidence=confidence, method="clopper_pearson")
