"""Paired tests by flipping the signs of the differences.

References:
    Phipson, B. & Smyth, G. (2010). Permutation p-values should never be zero.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy  # its parts load when they are used; stats takes a second

from po_optimizer.evaluation.predictions import Result
from po_optimizer.evaluation.statistics import (
    DIGITS,
    PAIR,
    Groups,
    Values,
    batch_size,
    draws,
    share_of_groups,
)
from po_optimizer.params import PromotionParams


class PairedTest(Result):
    """A two-sided sign-flip test of the paired differences.

    `exact` went through all 2^n sign patterns, `permutation` through a sample.
    """

    p_value: float
    method: Literal["exact", "permutation"]


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
    exact = 2 ** len(data) <= params.num_resamples  # a float overflows at 1,024
    if not np.any(data) or len(data) < PAIR:
        return PairedTest(p_value=1.0, method="exact" if exact else "permutation")
    if not exact:
        p_value = _flipped(data, draws(params, alpha), params.seed)
        return PairedTest(p_value=p_value, method="permutation")
    result = scipy.stats.permutation_test(
        (data,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=params.num_resamples,
        batch=batch_size(len(data)),
        alternative="two-sided",
    )
    return PairedTest(p_value=float(result.pvalue), method="exact")


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
    if 2**n <= params.num_resamples:
        numbers, reached, drawn = np.arange(2**n)[:, None], 0, 2**n
        flips = (numbers >> np.arange(n) & 1).astype(np.int8)
    else:
        reached, drawn = 1, params.num_resamples + 1  # the observed one is counted
        rng = np.random.default_rng(params.seed)
        flips = rng.integers(0, 2, (params.num_resamples, n), np.int8)
    largest = np.abs(differences.sum(axis=0) - 2.0 * (flips @ differences)).max(axis=1)
    above = np.sort(largest).searchsorted(own)
    tests = np.ones((programs, programs))
    tests[first, second] = (reached + len(largest) - above) / drawn
    tests[second, first] = tests[first, second]
    tests[first[size == 0], second[size == 0]] = 1.0
    return tests


def _flipped(data: Values, patterns: int, seed: int) -> float:
    """The p-value of so many random sign patterns, the observed one counted."""
    rng = np.random.default_rng(seed)
    least = abs(float(data.sum())) * (1.0 - 1e-12)  # sums of another order are equal
    extreme, left = 1, patterns
    while left > 0:
        flips = rng.integers(
            0, 2, (min(batch_size(len(data)), left), len(data)), np.int8
        )
        sums = data.sum() - 2.0 * (flips @ data)
        extreme += int(np.count_nonzero(np.abs(sums) >= least))
        left -= len(flips)
    return extreme / (patterns + 1)
