"""What chance explains: paired tests by sign flips, and the best of equal programs.

References:
    Phipson, B. & Smyth, G. (2010). Permutation p-values should never be zero.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import scipy  # its parts load when they are used; stats takes a second
from numpy.typing import NDArray

from po_optimizer.evaluation.estimates import PairedTest
from po_optimizer.evaluation.statistics import (
    DIGITS,
    PAIR,
    Groups,
    Values,
    batch_size,
    draws,
    share_of_groups,
)
from po_optimizer.params.evaluate import PromotionParams


def paired_test(
    differences: Sequence[float],
    params: PromotionParams,
    alpha: float = 0.05,
    groups: Groups = None,
) -> PairedTest:
    """The two-sided p-value of no difference, by flipping the differences' signs.

    Exact as long as 2^n patterns are no more than `num_resamples`, else from that
    many drawn patterns, counting the observed one; from more where a small `alpha`
    needs them to be told from a smaller p. The examples of a group have one sign.
    """
    data = share_of_groups(differences, groups, 0.0)
    n, batch = len(data), batch_size(max(1, len(data)))
    exact = 2**n <= params.num_resamples  # a float overflows at 1,024
    method: Literal["exact", "permutation"] = "exact" if exact else "permutation"
    if not np.any(data) or n < PAIR:
        return PairedTest(p_value=1.0, method=method)
    drawn = 2**n if exact else draws(params, alpha)
    least = abs(float(data.sum())) * (1.0 - 1e-12)  # sums of another order are equal
    extreme = 0 if exact else 1  # the observed pattern is one of the drawn
    for flips in _sign_flips(n, drawn, batch, None if exact else params.seed):
        sums = data.sum() - 2.0 * (flips @ data)
        extreme += int(np.count_nonzero(np.abs(sums) >= least))
    return PairedTest(p_value=extreme / (drawn + (not exact)), method=method)


def _sign_flips(
    n: int, drawn: int, batch: int, seed: int | None
) -> Iterator[NDArray[np.int8]]:
    """Sign patterns, a row each with 1 for a flipped sign; None: all 2^n in turn."""
    rng = np.random.default_rng(seed)
    for start in range(0, drawn, batch):
        size = min(batch, drawn - start)
        if seed is None:
            numbers = np.arange(start, start + size)[:, None]
            yield (numbers >> np.arange(n) & 1).astype(np.int8)
        else:
            yield rng.integers(0, 2, (size, n), np.int8)


def pairwise_tests(scores: Values, params: PromotionParams) -> Values:
    """Which of several programs differ: a p-value of each pair, all pairs together.

    Sign flips as in `paired_test`, the same for all differences of an example. Each
    pair's p is the share of sign patterns whose largest statistic over all pairs
    reaches the pair's own, so that equal programs seem different in one of them at
    most as often as alpha.

    Args:
        scores: A row an example, a column a program.
        params: Number of sign patterns, seed.

    Returns:
        Symmetric, a row and a column a program, 1.0 on the diagonal.

    References:
        Westfall, P. & Young, S. (1993). Resampling-based multiple testing. Wiley.
    """
    n, programs = scores.shape
    if programs < PAIR or not n:
        return np.ones((programs, programs))
    first, second = np.triu_indices(programs, 1)
    differences = np.round(scores[:, first] - scores[:, second], DIGITS)
    size = np.sqrt((differences**2).sum(axis=0))
    differences = differences / np.where(size > 0.0, size, 1.0)
    own = np.abs(differences.sum(axis=0)) * (1.0 - 1e-12)
    exact = 2**n <= params.num_resamples
    drawn = 2**n if exact else params.num_resamples
    seed = None if exact else params.seed
    flips = next(_sign_flips(n, drawn, drawn, seed))
    largest = np.abs(differences.sum(axis=0) - 2.0 * (flips @ differences)).max(axis=1)
    above = np.sort(largest).searchsorted(own)
    tests = np.ones((programs, programs))
    observed = 0 if exact else 1  # counted among the drawn
    reached = observed + len(largest) - above
    tests[first, second] = reached / (drawn + observed)
    tests[second, first] = tests[first, second]
    tests[first[size == 0], second[size == 0]] = 1.0
    return tests


_ROUNDS = 4000  # of the simulated choice by minibatches


def noise_floor(
    num_candidates: int,
    n: int,
    sd_differences: float,
    num_tried: int = 0,
    n_minibatch: int = 0,
) -> float:
    """How far the best of K equally good candidates seems to rise on n examples.

    The expected largest of K means of n scores is `m_K * sd / sqrt(n)` above the
    truth, m_K being the expected maximum of K standard normals. Two programs' paired
    differences hold the noise of both, hence sd = sd_differences / sqrt(2). Those
    that minibatches sent to a whole evaluation were chosen by part of the same
    examples: they rise further than K candidates drawn blindly.

    Args:
        num_candidates: K, the different candidates scored on all n examples, the
            baseline among them.
        n: The examples of the valset.
        sd_differences: SD of the paired differences of two programs.
        num_tried: Different candidates scored on minibatches; 0: none was.
        n_minibatch: The examples of a minibatch.

    Returns:
        Score points in [0, 1] that selection alone adds on the valset.
    """
    sd = sd_differences / math.sqrt(2)
    sent = num_candidates - 1
    if not 0 < sent < num_tried or n_minibatch >= n:
        return expected_maximum(max(num_candidates, num_tried)) * sd / math.sqrt(n)
    rng = np.random.default_rng(0)
    whole = rng.normal(0.0, 1.0 / math.sqrt(n), (_ROUNDS, num_tried))
    noise = rng.normal(0.0, math.sqrt(1.0 / n_minibatch - 1.0 / n), whole.shape)
    first = np.argsort(-(whole + noise), axis=1)[:, :sent]
    baseline = rng.normal(0.0, 1.0 / math.sqrt(n), (_ROUNDS, 1))
    best = np.hstack([np.take_along_axis(whole, first, axis=1), baseline]).max(axis=1)
    return sd * float(best.mean())


def expected_maximum(num_candidates: int) -> float:
    """The expected maximum of K independent standard normals; 0.0 for K=1."""

    def density(x: float) -> float:
        others = scipy.stats.norm.cdf(x) ** (num_candidates - 1)
        return float(x * num_candidates * scipy.stats.norm.pdf(x) * others)

    value, _ = scipy.integrate.quad(density, -10.0, 10.0)
    return max(0.0, float(value)) if num_candidates > 1 else 0.0
