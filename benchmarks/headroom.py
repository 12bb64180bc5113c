"""Whether the headroom before a search tells if there is anything to gain.

    python -m benchmarks.headroom --worlds 100

Scripted worlds of known truth: in half of them no instructions and no demos help, in
the others some of them do; scores are graded or passed/failed. Each world's forecast
asks for its headroom (at most 15 % of the search's calls). Columns: worlds, AUC of
the probability of no gain, mean probability where there is none and where there is
one, expected and true gain of the best of as many candidates, share of the calls. The
table stands in docs/guarantees.md.
"""

import argparse
import contextlib
import hashlib
import io
import random
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.optimization import world

from po_optimizer.optimization.forecast import WORTH, forecast
from po_optimizer.optimization.headroom import SHARE, with_headroom

N_TRAIN, N_VAL, NUM_TRIALS = 60, 34, 12


@dataclass(frozen=True)
class World:
    """How good programs are: effects of instructions and demos, and the scores."""

    seed: int

    @property
    def gains(self) -> bool:
        """Whether anything helps."""
        return self.seed % 2 == 1

    @property
    def passes(self) -> bool:
        """Whether an answer is passed or failed instead of graded."""
        return self.seed % 4 >= 2

    def effect(self, *parts: object) -> float:
        """What instructions or demos add to the expected score."""
        draw = _chance(self.seed, *parts)
        if not self.gains:
            return -abs(draw.gauss(0.0, 0.08))
        return draw.gauss(_chance(self.seed).uniform(-0.05, 0.1), 0.1)

    def truth(self, instructions: str, demos: tuple[str, ...]) -> float:
        """The expected score of a program."""
        value = _chance(self.seed, "start").uniform(0.3, 0.7)
        if "variant" in instructions:
            value += self.effect(instructions)
        if demos:
            value += self.effect(demos)
        return min(1.0, max(0.0, value))

    def answer(self, prompt: str) -> str:
        """An LM of that quality."""
        if not world.is_task(prompt):
            return world.answer(f"{self.seed} {prompt}")
        *demos, asked = re.findall(r"\b[tv]\d+\b", prompt)
        variant = re.search(r"variant \d+", prompt)
        value = self.truth(variant[0] if variant else "", tuple(demos))
        if self.passes:
            value = float(_chance(self.seed, prompt).random() < value)
        else:
            value += _chance(self.seed, asked).gauss(0.0, 0.15)
            value += _chance(self.seed, prompt).gauss(0.0, 0.1)
        return f'{{"answer": "{min(9, max(0, round(9 * value)))}"}}'

    def best_gain(self, candidates: int) -> float:
        """Of as many candidates as the search would try, in truth."""
        start = self.truth("", ())
        tried = (self.truth(f"variant {k}", (f"t{k}",)) for k in range(candidates))
        return max(0.0, *(score - start for score in tried))


def _chance(*seed: object) -> random.Random:
    return random.Random(hashlib.sha256(repr(seed).encode()).digest())  # noqa: S311


def auc(probabilities: list[float], none: list[bool]) -> float:
    """Chance that a world without gain has the higher probability of none."""
    values, label = np.array(probabilities), np.array(none)
    with_gain, without = values[~label], values[label][:, None]
    return float(((without > with_gain) + 0.5 * (without == with_gain)).mean())


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    options = parser.parse_args()
    rows = [measured(World(seed)) for seed in range(options.worlds)]
    print("| scores | worlds | AUC | none: without gain | with | gain | true | calls |")
    print("|---|---|---|---|---|---|---|---|")
    for name, passes in (("graded", False), ("passed or failed", True)):
        chosen = [row for row in rows if row[0] is passes]
        none = [truth < WORTH for _, _, _, truth, _ in chosen]
        values = [row[1] for row in chosen]
        means = [
            np.mean([v for v, n in zip(values, none, strict=True) if n is k])
            for k in (True, False)
        ]
        gains = [np.mean([row[place] for row in chosen]) for place in (2, 3)]
        share = max(row[4] for row in chosen)
        print(
            f"| {name} | {len(chosen)} | {auc(values, none):.2f} | {means[0]:.2f} | "
            f"{means[1]:.2f} | {gains[0]:.3f} | {gains[1]:.3f} | {share:.1%} |"
        )
    print(f"\nat most {SHARE:.0%} of the calls; {options}")


def measured(scripted: World) -> tuple[bool, float, float, float, float]:
    """Scores are passes; probability of none, gain, true gain, share of the calls."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(io.StringIO()),
    ):
        lm = world.lm(Path(folder), scripted.answer, num_threads=1)
        chosen = {"num_candidates": 10, "num_trials": NUM_TRIALS}
        job = world.job(
            lm,
            world.settings(headroom=True, miprov2=chosen, seed=scripted.seed),
            n_train=N_TRAIN,
            n_val=N_VAL,
        )
        expected = with_headroom(job, forecast(job))
        calls = lm.meter.ledger.totals(stage="headroom").calls
    headroom = expected.headroom
    if headroom is None:
        msg = "the search is too small for its headroom"
        raise ValueError(msg)
    true = scripted.best_gain(NUM_TRIALS)
    share = calls / expected.calls.upper
    return scripted.passes, headroom.probability_none, headroom.gain, true, share


if __name__ == "__main__":
    main()
