"""How often the promotion rule is wrong, and what uplift it can show.

    python -m benchmarks.promotion_power --rounds 2000

Each round makes K candidates, chooses the best on a valset, and judges it on a
testset with the library's own rule (`unmet`). The rubric's target and the
coverage are taken as met, which is the worst case for a false promotion. The tables
stand in docs/guarantees.md.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from po_optimizer.evaluation.estimates import Estimate, answers_to_pay
from po_optimizer.evaluation.reasons import unmet
from po_optimizer.evaluation.sign_flips import paired_test
from po_optimizer.evaluation.statistics import (
    Groups,
    seen_interval,
)
from po_optimizer.params.evaluate import PromotionParams

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
    rng: np.random.Generator, k: int, n: int, uplift: float, p_loss: float = 0.05
) -> tuple[Scores, Scores]:
    """Candidates a little better on most examples, that now and then lose one whole.

    No true difference on average, but the differences are not symmetric: no test
    that sees n examples can know of a rare loss that is not among them.
    """
    before, _ = normal(rng, 1, n, 0.0, sd=0.03)
    gain = before * p_loss / (1.0 - p_loss) + uplift
    after = before + gain + rng.normal(0.0, 0.01, size=(k, n))
    after = np.minimum(after, 1.0)
    after[rng.random((k, n)) < p_loss] = 0.0
    return before, after


def rate(
    world: World, n: int, uplift: float, rounds: int, params: PromotionParams
) -> dict[str, float]:
    """Shares of rounds that the rules promote.

    Returns:
        `rule`: the library's, on the testset; `without losses`: interval and test
        alone; `interval alone`: without the paired test, too; `on the valset`: the
        rule on the examples that the candidate was chosen on, which is what a testset
        prevents.
    """
    rng = np.random.default_rng(params.seed)
    wins = dict.fromkeys(("rule", "without losses", "interval alone"), 0)
    wins["on the valset"] = 0
    for _ in range(rounds):
        before, after = world(rng, K, N_VALSET + n, uplift)
        best = int(np.argmax(after[:, :N_VALSET].mean(axis=1)))
        failed = judged(before[N_VALSET:], after[best, N_VALSET:], params)
        wins["rule"] += not failed
        wins["without losses"] += not failed - {"losses"}
        wins["interval alone"] += "interval" not in failed
        if uplift == 0.0:
            seen = before[:N_VALSET], after[best, :N_VALSET]
            wins["on the valset"] += not judged(*seen, params)
    return {name: count / rounds for name, count in wins.items()}


def judged(
    before: Scores,
    after: Scores,
    params: PromotionParams,
    alpha: float = 0.05,
    groups: Groups = None,
) -> set[str]:
    """The conditions that the library's rule finds unmet."""
    differences = after - before
    uplift = Estimate(
        mean=float(differences.mean()),
        n=len(differences),
        n_groups=None if groups is None else len(set(groups)),
    )
    losses = answers_to_pay(alpha) * float(before.mean())
    if differences.sum() <= 0.0:  # nothing to resample: the rule ends here, too
        return {"interval", "test", "losses"}
    seen = seen_interval(differences.tolist(), params, alpha, groups)
    p_value = paired_test(differences.tolist(), params, alpha, groups).p_value
    return set(unmet(uplift, seen, p_value, losses, alpha))


def _losing(lost: float, n: int) -> World:
    """`lopsided` with so many losses expected among n examples."""
    return partial(lopsided, p_loss=lost / n)


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
    sizes = (6, 12, 20, 34, 60)
    print("| no true difference | n | rule | without losses | interval | valset |")
    print("|---|---|---|---|---|---|")
    worlds: dict[str, Callable[[int], World]] = {
        "normal": lambda _: normal,
        "one in ten fails": lambda _: failing,
        "steps of 0.25": lambda _: coarse,
        **{
            f"{lost:g} of n is lost": partial(_losing, lost)
            for lost in (1.0, 2.0, 3.05)
        },
    }
    for name, world in worlds.items():
        for n in sizes:
            found = rate(world(n), n, 0.0, options.rounds, params)
            cells = " | ".join(f"{share:.1%}" for share in found.values())
            print(f"| {name} | {n} | {cells} |", flush=True)
    print("\n| SD | true uplift | rule, n=6 | 12 | 20 | 34 | 60 | without losses |")
    print("|---|---|---|---|---|---|---|---|")
    for sd in (0.10, 0.15, 0.20):
        for uplift in (0.02, 0.05, 0.10, 0.20, 0.30):
            found_at = [
                rate(of_sd(sd), n, uplift, options.rounds, params) for n in sizes
            ]
            cells = " | ".join(f"{found['rule']:.0%}" for found in found_at)
            alone = ", ".join(f"{found['without losses']:.0%}" for found in found_at)
            print(f"| {sd:.2f} | {uplift:.2f} | {cells} | {alone} |", flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s, {options}")


if __name__ == "__main__":
    main()
