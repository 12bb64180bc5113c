"""Whether MLflow's paired comparison and ours say the same of the same scores.

    pip install mlflow>=3.18   # in an environment of its own
    python -m benchmarks.mlflow_agreement --rounds 500

Both get the same pairs of scores. MLflow tests scores of 0 and 1 with McNemar and
others with Wilcoxon's signed ranks, we flip signs of the differences themselves; both
give a BCa interval. The table stands in docs/guarantees.md.
"""

import argparse
from importlib import import_module
from typing import NamedTuple

import numpy as np
from benchmarks.promotion_power import Scores, World, coarse, failing, normal

from po_optimizer.evaluation.sign_flips import paired_test
from po_optimizer.evaluation.statistics import seen_interval
from po_optimizer.params.evaluate import PromotionParams


class Verdict(NamedTuple):
    """What one comparison says of an uplift."""

    mean: float
    low: float
    high: float
    p_value: float


def passed(
    rng: np.random.Generator, k: int, n: int, uplift: float
) -> tuple[Scores, Scores]:
    """Examples are passed or not; a candidate passes `uplift` more of them."""
    before = (rng.random(n) < 0.5).astype(float)
    changed = np.where(before > 0, rng.random((k, n)) > 0.15 - uplift / 2, 0.0)
    after = np.where(before > 0, changed, rng.random((k, n)) < 0.15 + uplift / 2)
    return before, after.astype(float)


WORLDS: dict[str, World] = {
    "passed or not": passed,
    "normal": normal,
    "one in ten fails": failing,
    "steps of 0.25": coarse,
}


def ours(before: Scores, after: Scores, params: PromotionParams) -> Verdict:
    """The library's interval of what was seen and its paired test."""
    differences = (after - before).tolist()
    seen = seen_interval(differences, params, params.alpha)
    mean = float(np.mean(differences))
    low, high = (seen.low, seen.high) if seen else (mean, mean)
    return Verdict(mean, low, high, paired_test(differences, params).p_value)


def mlflows(before: Scores, after: Scores) -> Verdict:
    """What `mlflow.genai.compare_evaluations` computes of two loaded runs."""
    module = "mlflow.genai.evaluation.comparison.paired_comparison"
    compare = import_module(module)._compare_paired_values
    result = compare("score", before, after, value_type="numeric")
    return Verdict(result.diff, result.ci_low, result.ci_high, result.p_value)


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=9)
    options = parser.parse_args()
    params = PromotionParams(seed=options.seed)
    print("| scores | n | same mean | limits apart | same verdict | ours | MLflow |")
    print("|---|---|---|---|---|---|---|")
    uplifts = np.tile([0.0, 0.05, 0.1, 0.2], options.rounds // 4)
    for name, world in WORLDS.items():
        for n in (12, 34, 60):
            rng = np.random.default_rng(options.seed)
            drawn = (world(rng, 1, n, uplift) for uplift in uplifts)
            pairs = [(ours(b, a[0], params), mlflows(b, a[0])) for b, a in drawn]
            first, second = (np.array(side) for side in zip(*pairs, strict=True))
            gaps = np.abs(first - second)
            proven = first[:, -1] <= params.alpha, second[:, -1] <= params.alpha
            cells = (
                f"{np.mean(gaps[:, 0] < 1e-9):.0%}",
                f"{np.median(gaps[:, 1:3].max(axis=1)):.4f}",
                f"{np.mean(proven[0] == proven[1]):.1%}",
                f"{np.mean(proven[0] & ~proven[1]):.1%}",
                f"{np.mean(proven[1] & ~proven[0]):.1%}",
            )
            print(f"| {name} | {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
