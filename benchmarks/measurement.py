"""Whether intervals hold, how a testset wears, and who is told apart by chance.

    python -m benchmarks.measurement --rounds 2000

Independent simulations of the library's own functions; the tables stand in
docs/guarantees.md.
"""

import argparse
import math
import time

import numpy as np
from benchmarks.promotion_power import (
    MEAN,
    SD_DIFFERENCES,
    SD_EXAMPLES,
    Scores,
    failing,
    judged,
    lopsided,
    normal,
)

from po_optimizer.evaluation.estimates import answers_to_pay
from po_optimizer.evaluation.sign_flips import pairwise_tests
from po_optimizer.evaluation.statistics import (
    estimate,
    estimate_uplift,
    seen_interval,
)
from po_optimizer.evaluation.wear import Judgement
from po_optimizer.params.evaluate import PromotionParams

SIZES = (6, 12, 20, 34, 60)
RUNS = (1, 5, 10, 20)
WORN = ("normal", "one in ten fails", *(f"losing {x}" for x in (3.05, 5, 6.5, 8, 12)))


def rare_zeros(rng: np.random.Generator, n: int, share: float) -> Scores:
    """Scores about 0.9, some of them 0; their mean is 0.9 * (1 - share)."""
    return rng.uniform(0.85, 0.95, n) * (rng.random(n) >= share)


def coverage(n: int, share: float, rounds: int, params: PromotionParams) -> list[float]:
    """Shares of intervals that hold the mean: Gaffke's, BCa's; and Gaffke's width."""
    rng = np.random.default_rng(params.seed)
    truth, held, width = 0.9 * (1.0 - share), [0, 0], 0.0
    for _ in range(rounds):
        values = rare_zeros(rng, n, share).tolist()
        intervals = (
            estimate(values, params).interval,
            seen_interval(values, params, params.alpha),
        )
        for place, span in enumerate(intervals):
            held[place] += span is not None and span.low <= truth <= span.high
        width += intervals[0].high - intervals[0].low if intervals[0] else 0.0
    return [count / rounds for count in held] + [width / rounds]


def uplift_coverage(
    n: int, lost: float, gained: float, rounds: int, params: PromotionParams
) -> list[float]:
    """Shares of intervals that hold the uplift: the report's, BCa's alone.

    Answers about 0.7; the optimized program loses a share of them whole, the baseline
    another.
    """
    rng = np.random.default_rng(params.seed)
    truth, held = 0.7 * (gained - lost), [0, 0]
    for _ in range(rounds):
        before = rng.uniform(0.6, 0.8, n) * (rng.random(n) >= gained)
        after = rng.uniform(0.6, 0.8, n) * (rng.random(n) >= lost)
        differences = (after - before).tolist()
        intervals = (
            estimate_uplift(differences, float(before.mean()), params).interval,
            seen_interval(differences, params, params.alpha),
        )
        for place, span in enumerate(intervals):
            held[place] += span is not None and span.low <= truth <= span.high
    return [count / rounds for count in held]


def wear(
    world: str, n: int, rounds: int, params: PromotionParams
) -> dict[str, list[float]]:
    """Shares of testsets that promote one of the first 1, 5, 10, 20 equal programs.

    Returns:
        `rule`: as the library does; `no age`: each as if it were the first.
    """
    rng = np.random.default_rng(params.seed)
    first: dict[str, list[int]] = {"rule": [], "no age": []}
    for _ in range(rounds):
        before, programs = _programs(world, rng, n)
        promoted = dict.fromkeys(first, max(RUNS) + 1)
        for place, after in enumerate(programs, start=1):
            aged = Judgement.at(place, 1, params.alpha).alpha
            for name, alpha in (("no age", params.alpha), ("rule", aged)):
                if place < promoted[name] and _promotes(before, after, params, alpha):
                    promoted[name] = place
        for name, place in promoted.items():
            first[name].append(place)
    return {
        name: [float(np.mean(np.array(places) <= runs)) for runs in RUNS]
        for name, places in first.items()
    }


def _promotes(
    before: Scores, after: Scores, params: PromotionParams, alpha: float
) -> bool:
    """The cheap condition first: most programs fail it, and nothing is resampled."""
    if (after - before).sum() <= answers_to_pay(alpha) * before.mean():
        return False
    return not judged(before, after, params, alpha)


def _programs(world: str, rng: np.random.Generator, n: int) -> tuple[Scores, Scores]:
    count = max(RUNS)
    if world.startswith("losing"):
        lost = float(world.removeprefix("losing "))
        return lopsided(rng, count, n, 0.0, p_loss=min(0.6, lost / n))
    return (failing if world == "one in ten fails" else normal)(rng, count, n, 0.0)


def clustered(
    n_groups: int, size: int, rounds: int, params: PromotionParams
) -> list[float]:
    """Shares of equal programs promoted, and of intervals that hold the uplift of 0.

    The differences of a group's examples have an intra-class correlation of 0.3.

    Returns:
        Promoted by example and by group; covered by example and by group.
    """
    rng = np.random.default_rng(params.seed)
    counts = np.zeros(4)
    groups = [f"{number // size}" for number in range(n_groups * size)]
    for _ in range(rounds):
        before = rng.normal(MEAN, SD_EXAMPLES, len(groups))
        shared = np.repeat(rng.normal(0.0, math.sqrt(0.3), n_groups), size)
        own = rng.normal(0.0, math.sqrt(0.7), len(groups))
        after = before + SD_DIFFERENCES * (shared + own)
        for place, given in enumerate((None, groups)):
            counts[place] += not judged(before, after, params, groups=given)
            values = (after - before).tolist()
            span = seen_interval(values, params, params.alpha, given)
            counts[place + 2] += span is not None and span.low <= 0.0 <= span.high
    return [float(count) / rounds for count in counts]


def told_apart(
    world: str, programs: int, n: int, rounds: int, params: PromotionParams
) -> float:
    """Share of leaderboards of equal programs that call any two different."""
    rng = np.random.default_rng(params.seed)
    told = 0
    for _ in range(rounds):
        if world == "one in twenty fails":
            scores = rng.uniform(0.85, 0.95, (n, programs))
            scores *= rng.random(scores.shape) >= 0.05
        else:
            scores = normal(rng, programs, n, 0.0)[1].T
        gaps = np.abs(scores.sum(axis=0)[:, None] - scores.sum(axis=0))
        worth = gaps > answers_to_pay(params.alpha) * scores.mean(axis=0).max()
        told += bool(((pairwise_tests(scores, params) <= params.alpha) & worth).any())
    return told / rounds


def main() -> None:
    """Prints the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1999)
    parser.add_argument("--seed", type=int, default=9)
    options = parser.parse_args()
    params = PromotionParams(num_resamples=options.resamples, seed=options.seed)
    rounds, started = options.rounds, time.perf_counter()
    print(
        "| zeros | n | Gaffke covers | its width | BCa covers |\n|---|---|---|---|---|"
    )
    for share in (0.05, 0.10):
        for n in SIZES:
            gaffke, bca, width = coverage(n, share, rounds, params)
            print(
                f"| {share:.0%} | {n} | {gaffke:.1%} | {width:.2f} | {bca:.1%} |",
                flush=True,
            )
    print("\n| optimized loses | baseline loses | n | report covers | BCa covers |")
    print("|---|---|---|---|---|")
    for lost, gained in ((0.1, 0.1), (0.05, 0.0), (0.0, 0.05)):
        for n in SIZES:
            ours, bca = uplift_coverage(n, lost, gained, rounds, params)
            print(
                f"| {lost:.0%} | {gained:.0%} | {n} | {ours:.1%} | {bca:.1%} |",
                flush=True,
            )
    print("\n| equal programs | n | after 1, 5, 10, 20 programs | no age |")
    print("|---|---|---|---|")
    for world in WORN:
        for n in (12, 34, 60):
            found = wear(world, n, rounds, params)
            cells = (", ".join(f"{x:.1%}" for x in row) for row in found.values())
            print(f"| {world} | {n} | {' | '.join(cells)} |", flush=True)
    print("\n| equal programs | n | 3 | 5 | 10 |\n|---|---|---|---|---|")
    for world in ("normal", "one in twenty fails"):
        for n in (6, 12, 34):
            shares = (told_apart(world, k, n, rounds, params) for k in (3, 5, 10))
            cells = " | ".join(f"{share:.1%}" for share in shares)
            print(f"| {world} | {n} | {cells} |", flush=True)
    print("\n| groups of 5 | promoted by example | by group | covered | by group |")
    print("|---|---|---|---|---|")
    for n_groups in (6, 12, 24):
        cells = (f"{x:.1%}" for x in clustered(n_groups, 5, rounds, params))
        print(f"| {n_groups} | {' | '.join(cells)} |", flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s, {options}")


if __name__ == "__main__":
    main()
