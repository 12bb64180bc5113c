"""Means with intervals that hold for rare failures and for examples in groups.

References:
    Efron, B. (1987). Better bootstrap confidence intervals. JASA 82(397).
    Gaffke, N. (2005). Three test statistics for a nonparametric one-sided hypothesis
        on the mean of a nonnegative variable. Math. Methods Stat. 14(4).
    Learned-Miller, E. & Thomas, P. (2020). A new confidence interval for the mean of a
        bounded random variable. arXiv:1905.06208.
    Hanley, J. & Lippman-Hand, A. (1983). If nothing goes wrong, is everything all
        right? JAMA 249(13).
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

import numpy as np
import scipy  # its parts load when they are used; stats takes a second
from numpy.typing import NDArray

from po_optimizer.evaluation.estimates import Estimate, Interval, answers_to_pay
from po_optimizer.params.evaluate import PromotionParams

LARGE_N = 2000  # from it on resampling takes minutes and shows nothing more
MOST_DRAWN = 2_000_000  # resamples or sign patterns: p-values down to 5e-7
PAIR = 2  # of fewer nothing can be flipped, resampled or compared
_DRAWN_N = 200  # weights of more values are not drawn but computed
_AT_ONCE = 500_000  # resampled values in memory, about 20 bytes each with all copies
DIGITS = 12  # behind them a mean holds rounding: 23 times 0.88 is 0.88

Values = NDArray[np.float64]


Groups = Sequence[str] | None
"""The group of each example; None: each stands alone."""


def share_of_groups(values: Sequence[float], groups: Groups, around: float) -> Values:
    """One number a group instead of one an example, with the same mean.

    Examples of a group are alike, so that only groups may be drawn anew. A group of
    n_g of the n examples in G groups has around + (sum of values - around) x G / n.
    The mean of all is that of the values, if `around` is their mean or all groups are
    equally large.
    """
    data = np.asarray(values, dtype=float)
    if groups is None or len(set(groups)) == len(data):
        return data
    place = np.unique(np.asarray(groups), return_inverse=True)[1]
    sums: Values = np.bincount(place, weights=data - around).astype(np.float64)
    return around + sums * (len(sums) / len(data))


def estimate(
    values: Sequence[float], params: PromotionParams, groups: Groups = None
) -> Estimate:
    """The mean of scores in [0, 1] with Gaffke's interval.

    Unseen examples may lie at either bound. So the mean is weighed anew with one
    example more, at the bound, under random weights (Dirichlet, all 1); the limits are
    quantiles of that. Equal values need no method of their own.

    Args:
        values: One number an example, in [0, 1].
        params: Confidence, number of resamples, seed.
        groups: Of each example; one example more is then one group more.
    """
    if not len(values):
        return _summary(values)
    shares = share_of_groups(values, groups, fmean(values))
    alpha = params.alpha
    limits = [_gaffke(shares, params, alpha, 0.0, upper=up) for up in (False, True)]
    interval = _interval(limits, params.confidence, "gaffke")
    return _summary(values, interval, shares)


def estimate_uplift(
    differences: Sequence[float],
    baseline_mean: float,
    params: PromotionParams,
    groups: Groups = None,
) -> Estimate:
    """The mean of paired differences with an interval that knows what n cannot show.

    n pairs without a lost answer still allow, at 95 %, losses in 3 of n, and such a
    loss costs the baseline's score. So the lower limit is BCa's or the uplift minus
    3 x baseline_mean / n, whichever is lower. The upper limit is Gaffke's.

    Args:
        differences: optimized - baseline, one an example, in [-1, 1].
        baseline_mean: Of the same examples, in [0, 1].
        params: Confidence, number of resamples, seed.
        groups: Of each example; n is then the number of groups.
    """
    if not len(differences):
        return _summary(differences)
    mean = fmean(differences)
    shares = share_of_groups(differences, groups, mean)
    seen = seen_interval(differences, params, params.alpha, groups)
    rare = answers_to_pay(params.alpha) * baseline_mean / len(shares)
    low = max(-1.0, min(seen.low if seen else math.inf, mean - rare))
    limits = [low, _gaffke(shares, params, params.alpha, upper=True)]
    return _summary(differences, _interval(limits, params.confidence, "paired"), shares)


def value_range(values: Sequence[float]) -> Estimate:
    """The mean with the lowest and the highest value: no sample, so no interval."""
    if not len(values):
        return _summary(values)
    span = Interval(low=min(values), high=max(values), confidence=1, method="min_max")
    return _summary(values, span)


def seen_interval(
    differences: Sequence[float],
    params: PromotionParams,
    alpha: float,
    groups: Groups = None,
) -> Interval | None:
    """The BCa interval of the differences seen, at 1 - alpha; None: all are equal.

    Whole groups are resampled. From `LARGE_N` on it is Gaffke's, which resampling
    would only repeat.
    """
    data = np.asarray(differences, dtype=float)
    if len(data):
        data = share_of_groups(differences, groups, float(data.mean()))
    if len(data) < PAIR or np.ptp(data) == 0.0:
        return None
    if len(data) >= LARGE_N:
        limits = [_gaffke(data, params, alpha, upper=upper) for upper in (False, True)]
        return _interval(limits, 1.0 - alpha, "gaffke")
    result = scipy.stats.bootstrap(
        (data,),
        np.mean,
        confidence_level=1.0 - alpha,
        n_resamples=draws(params, alpha),
        batch=batch_size(len(data)),
        method="BCa",
        rng=np.random.default_rng(params.seed),
    )
    low, high = (float(limit) for limit in result.confidence_interval)
    if math.isnan(low) or math.isnan(high):  # scipy's answer to degenerate data
        return None
    return _interval([low, high], 1.0 - alpha, "bca")


def _summary(
    values: Sequence[float],
    interval: Interval | None = None,
    shares: Values | None = None,
) -> Estimate:
    n = len(values)
    if not n:
        return Estimate(mean=None, n=0, note="nothing was measured")
    grouped = shares is not None and len(shares) < n
    return Estimate(
        mean=round(float(np.mean(values)), DIGITS),
        n=n,
        sd=_sd(values),
        n_groups=len(shares) if shares is not None and grouped else None,
        sd_groups=_sd(shares) if shares is not None and grouped else None,
        interval=interval,
    )


def _sd(values: Sequence[float] | Values) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _interval(
    limits: Sequence[float],
    confidence: float,
    method: Literal["bca", "gaffke", "paired"],
) -> Interval:
    low, high = (round(limit, DIGITS) for limit in limits)
    return Interval(low=low, high=high, confidence=confidence, method=method)


def draws(params: PromotionParams, alpha: float) -> int:
    """Number of resamples that resolves p-values around alpha."""
    return min(max(params.num_resamples, math.ceil(10 / alpha)), MOST_DRAWN)


def batch_size(n: int) -> int:
    """Resamples at a time; the results do not depend on it."""
    return max(1, _AT_ONCE // n)


def _gaffke(
    data: Values,
    params: PromotionParams,
    alpha: float,
    lowest: float = -1.0,
    *,
    upper: bool,
) -> float:
    """A limit of the mean: a quantile over random weights, one example at a bound.

    From `_DRAWN_N` on the quantile is that of the gamma distribution (Pearson III)
    with the weighted mean's first three moments.
    """
    values = np.append(data, 1.0 if upper else lowest)
    n, share = len(values), 1.0 - alpha / 2 if upper else alpha / 2
    if n < _DRAWN_N:
        rng = np.random.default_rng(params.seed)
        weights = rng.dirichlet(np.ones(n), params.num_resamples)
        limit = np.quantile(weights @ values, share)
    else:
        scale = values.std() / math.sqrt(n + 1)
        skew = 2.0 * scipy.stats.skew(values) * math.sqrt(n + 1) / (n + 2)
        limit = scipy.stats.pearson3.ppf(share, skew, values.mean(), scale)
    return min(1.0, max(lowest, float(limit)))
