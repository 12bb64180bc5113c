"""How often the promotion rule is wrong, and what uplift it can show.

    python -m benchmarks.promotion_power --rounds 2000

Each round makes K candidates, chooses the best on a valset, and judges it on a
testset with the library's own rule (`uplift_is_proven`). The rubric's target and the
coverage are taken as met, which is the worst case for a false promotion. The tables
stand in docs/guarantees.md.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from po_optimizer.evaluation.promotion import uplift_is_proven
from po_optimizer.evaluation.statistics import estimate, paired_test
from po_optimizer.params import PromotionParams

Scores = NDArray[np.float64]
World = Callable[[np.random.Generator, int, int, float], tuple[Scores, Scores]]
"""(generator, K, n, uplift) -> the baseline's scores and each candidate's, K x n."""

K, N_VALSET = 10, 24
MEAN, SD_EXAMPLES, SD_DIFFERENCES = 0.6, 0.10, 0.15


def normal(
    rng: np.random.Generator, k: int, n: int, uplift: float, sd: float = SD_DIFFERENCES
) -> tuple[Scores, Scores]:
    """Examples differ in difficulty; each answer adds its own noise; cut to [0, 1]."""
    difficulty = rng.normal(MEAN, SD_EXAMPLES, size=n)
    noise = rng.normal(0.0, sd / np.sqrt(2), size=(k + 1, n))
    scores = difficulty + noise
    scores[1:] += uplift
    scores = np.clip(scores, 0.0, 1.0)
    return scores[0], scores[1:]


def failing(
    rng: np.random.Generator, k: int, n: int, uplift: float
) -> tuple[Scores, Scores]:
    """As `normal`, and one answer in ten is unusable and scores 0.0."""
    before, after = normal(rng, k, n, uplift)
    before[rng.random(n) < 0.1] = 0.0
    after[rng.random((k, n)) < 0.1] = 0.0
    return before, after


def coarse(
    rng: np.random.Generator, k: int, n: int, uplift: float
) -> tuple[Scores, Scores]:
    """A metric of a few steps: most paired differences are exactly 0."""
    before, after = normal(rng, k, n, uplift)
    return np.round(before * 4) / 4, np.round(after * 4) / 4


def lopsided(
    rng: np.random.Generator, k: int, n: int, uplift: float
) -> tuple[Scores, Scores]:
    """Candidates a little better on 19 of 20 examples, and 0.38 worse on the rest.

    No true difference on average, but the differences are not symmetric: no test
    that sees n examples can know of a rare loss that is not among them.
    """
    before, after = normal(rng, k, n, uplift, sd=0.03)
    rare = rng.random((k, n)) < 0.05
    return before, np.clip(after + np.where(rare, -0.38, 0.02), 0.0, 1.0)


def rate(
    world: World, n: int, uplift: float, rounds: int, params: PromotionParams
) -> dict[str, float]:
    """Shares of rounds that the rules promote.

    Returns:
        `rule`: the library's, on the testset; `interval alone`: without the paired
        test; `on the valset`: the rule on the examples that the candidate was
        chosen on, which is what a testset prevents.
    """
    rng = np.random.default_rng(params.seed)
    wins = {"rule": 0, "interval alone": 0, "on the valset": 0}
    for _ in range(rounds):
        before, after = world(rng, K, N_VALSET + n, uplift)
        best = int(np.argmax(after[:, :N_VALSET].mean(axis=1)))
        differences = after[best] - before
        proven, interval_above = _judged(differences[N_VALSET:], params)
        wins["rule"] += proven
        wins["interval alone"] += interval_above
        if uplift == 0.0:
            wins["on the valset"] += _judged(differences[:N_VALSET], params)[0]
    return {name: count / rounds for name, count in wins.items()}


def _judged(differences: Scores, params: PromotionParams) -> tuple[bool, bool]:
    found = estimate(differences.tolist(), params, (-1.0, 1.0))
    test = paired_test(differences.tolist(), params)
    above = found.interval is not None and found.interval.low > 0.0
    return uplift_is_proven(found, test, params.confidence), above


def of_sd(sd: float) -> World:
    """`normal` with another SD of the paired differences."""
    return lambda rng, k, n, uplift: normal(rng, k, n, uplift, sd)


def main() -> None:
    """Prints both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1999)
    parser.add_argument("--seed", type=int, default=9)
    options = parser.parse_args()
    params = PromotionParams(num_resamples=options.resamples, seed=options.seed)
    started = time.perf_counter()
    print("| no true difference | n | rule | interval alone | on the valset |")
    print("|---|---|---|---|---|")
    for world in (normal, failing, coarse, lopsided):
        for n in (8, 20, 34, 60):
            found = rate(world, n, 0.0, options.rounds, params)
            cells = " | ".join(f"{share:.1%}" for share in found.values())
            print(f"| {world.__name__} | {n} | {cells} |", flush=True)
    print("\n| SD of the differences | true uplift | n=20 | n=34 | n=60 |")
    print("|---|---|---|---|---|")
    for sd in (0.10, 0.15, 0.20):
        for uplift in (0.02, 0.05, 0.10):
            shares = [
                rate(of_sd(sd), n, uplift, options.rounds, params)["rule"]
                for n in (20, 34, 60)
            ]
            cells = " | ".join(f"{share:.0%}" for share in shares)
            print(f"| {sd:.2f} | {uplift:.2f} | {cells} |", flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s, {options}")


if __name__ == "__main__":
    main()
