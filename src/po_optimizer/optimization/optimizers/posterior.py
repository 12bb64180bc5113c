"""What the answers so far say about candidates, also about those never asked.

A score is taken for the sum of the effects of the candidate's instructions and demos,
of how they go together, of the example, and of chance, all of them normal. So each
answer tells something about every candidate that shares a part with the one asked.

References:
    Frazier, Powell and Dayanik, "The Knowledge-Gradient Policy for Correlated Normal
    Beliefs", INFORMS Journal on Computing 21, 2009.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_LEVEL = 0.3
"""Standard deviation, in score points, of what all candidates share."""
_SPREADS = (0.02, 0.07, 0.15, 0.25)
"""Standard deviations that the effects of instructions, or of demos, may have."""
_USUAL_SPREAD = 0.1
"""Half or twice as much is as likely as not."""
_TOGETHER = 0.5
"""Spread of how instructions and demos go together, in that of the smaller effect."""
_LEAST_SPREAD = 0.02
_OF_EXAMPLES = 0.35
"""Share of the variance of scores that lies in the examples, before any is seen."""
_WEIGHT = 20.0
"""How many answers that assumption counts for."""
_LEAST_VARIANCE = 1e-4
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


@dataclass(frozen=True)
class Posterior:
    """The true mean scores of some candidates, as far as they are known.

    Args:
        means: Of each candidate, about in [0, 1].
        covariance: Of these.
        noise: Variance of one answer's score beside its example's effect.
    """

    means: Values
    covariance: Values
    noise: float

    def behind(self, candidate: int) -> float:
        """How many standard deviations it lies below the best; 0.0: it is the best."""
        best = int(self.means.argmax())
        own, other = self.covariance[candidate], self.covariance[best]
        variance = own[candidate] + other[best] - 2 * own[best]
        difference = self.means[best] - self.means[candidate]
        return float(difference / np.sqrt(max(variance, 1e-12)))

    def expecting(self, candidate: int, asked: int) -> "Posterior":
        """What will be known once so many answers more have come, whatever they are."""
        own = self.covariance[candidate]
        learned = np.outer(own, own) / (own[candidate] + self.noise / asked)
        return replace(self, covariance=self.covariance - learned)

    def gains(self, asked: Values) -> Values:
        """By how much the best mean is expected to rise if a candidate is asked more.

        Args:
            asked: How many examples more, of each candidate; 1 or more.
        """
        variances = np.maximum(self.covariance.diagonal(), 1e-12)
        moves = self.covariance / np.sqrt(variances + self.noise / asked)
        best = (self.means[:, None, None] + moves[:, :, None] * _POINTS).max(axis=0)
        return np.asarray(best @ _WEIGHTS / _WEIGHTS.sum() - self.means.max())


def posterior(candidates: NDArray[np.int_], scores: Values) -> Posterior:
    """What is known about the candidates.

    Args:
        candidates: A row each: the number of the instructions and of the demo set of
            the first predictor, then of the next.
        scores: A row a candidate, a column an example; NaN where none was asked. The
            first row is whole.
    """
    asked = ~np.isnan(scores)
    counts, level = asked.astype(float), float(scores[0].mean())
    residuals = np.where(asked, scores - level, 0.0)
    of_examples, noise = _variances(scores)
    # the effects of examples are integrated out
    weights = 1 / (counts.sum(axis=0) / noise + 1 / of_examples)
    shared = (counts * weights) / noise**2
    precision = np.diag(counts.sum(axis=1) / noise) - shared @ counts.T
    evidence = residuals.sum(axis=1) / noise - shared @ residuals.sum(axis=0)
    same = candidates[:, None, :] == candidates[None, :, :]
    parts = same[..., ::2].sum(axis=-1), same[..., 1::2].sum(axis=-1)
    tried = asked.any(axis=1)
    precision, evidence = precision[np.ix_(tried, tried)], evidence[tried]

    def likelihood(spreads: tuple[float, ...]) -> float:
        """How likely these spreads are, as a logarithm up to a constant."""
        prior = _prior(*(part[np.ix_(tried, tried)] for part in parts), *spreads)
        system = np.eye(len(prior)) + prior @ precision
        fit = evidence @ np.linalg.solve(system, prior @ evidence)
        unusual = np.square(np.log(np.divide(spreads, _USUAL_SPREAD))).sum()
        return float(fit - np.linalg.slogdet(system)[1] - unusual) / 2

    prior = _prior(*parts, *max(product(_SPREADS, repeat=2), key=likelihood))
    # only the tried are solved for: of those there are few
    system = np.eye(len(precision)) + precision @ prior[np.ix_(tried, tried)]
    of_tried = prior[tried]
    means = level + of_tried.T @ np.linalg.solve(system, evidence)
    learned = of_tried.T @ np.linalg.solve(system, precision) @ of_tried
    return Posterior(means, prior - (learned + learned.T) / 2, noise)


def _variances(scores: Values) -> tuple[float, float]:
    """Of the effects of examples, and of chance: the half of paired differences'."""
    variance = max(_LEAST_VARIANCE, _within(scores, 0.0))
    assumed = (1 - _OF_EXAMPLES) * variance
    noise = max(_LEAST_VARIANCE, _within(scores[1:] - scores[0], 2 * assumed) / 2)
    return max(_LEAST_VARIANCE, variance - noise), noise


def _within(scores: Values, assumed: float) -> float:
    """The variance within the rows, with an assumption that a few answers outweigh."""
    counts = np.maximum((~np.isnan(scores)).sum(axis=1, keepdims=True), 1)
    means = np.nansum(scores, axis=1, keepdims=True) / counts
    squares = float(np.nansum((scores - means) ** 2))
    weight = _WEIGHT if assumed else 0.0
    freedom = max(1.0, float((counts - 1).sum()) + weight)  # one example has no spread
    return (squares + weight * assumed) / freedom


def _prior(
    instructions: Values, demos: Values, of_instructions: float, of_demos: float
) -> Values:
    """The covariance of candidates that share so many instructions and demo sets."""
    together = (_TOGETHER * min(of_instructions, of_demos)) ** 2 + _LEAST_SPREAD**2
    return (
        of_instructions**2 * instructions
        + of_demos**2 * demos
        + together * np.eye(len(demos))
        + _LEVEL**2
    )
