"""How far the best of equally good programs seems to rise by chance."""

import math

import numpy as np
import scipy  # its parts load when they are used; stats takes a second

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
