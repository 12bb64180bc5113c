"""True gain for a paid LM call: this project against MIPROv2 with DSPy's defaults.

    python benchmarks/score_per_call.py [--seeds 20] [--val 100] [--worlds demos ...]

The LM is scripted. It answers right with a probability that follows from the quality of
the instructions and of each demo, from how they go together and from the difficulty of
the example; all are drawn by hash, so that the same prompt has the same answer. So the
true score of a program over all examples that there could be is known exactly, without
the luck of the valset that chose it. In the world `instructions` mostly these matter,
in `demos` those, in `both` they interact, and some answers cannot be read.

Both sides have the same LM, examples and seed and `auto: light`; here nothing else is
set than DSPy's other defaults. Columns, means over the seeds: true gain of the chosen
program over the baseline, in score points; paid LM calls, with bootstrapping and
proposals; gain for 100 calls; candidates tried; how far the chosen program lies below
the truly best one that was tried; share of runs that gave that one up: here as worse by
racing, in DSPy's search after a minibatch. The ratio is that of the gains for a call,
with a 95 % bootstrap interval over the seeds.
"""

import argparse
import contextlib
import hashlib
import io
import logging
import math
import random
import re
import sys
import tempfile
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any

import dspy
import numpy as np
from dspy.teleprompt import MIPROv2
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from overhead import PlainEngine
from tests.optimization import world

from po_optimizer.optimization.job import NEVER_GIVE_UP
from po_optimizer.params.lm import LMParams

N_TRAIN = 60
BASE, DIFFICULTY = -0.4, 1.2
"""Log odds of a right answer by the baseline; how far examples differ in it."""
NUM_DEMOS = 4
LIGHT = {
    "auto": "light",
    "num_candidates": None,
    "num_trials": None,
    "max_bootstrapped_demos": NUM_DEMOS,
    "max_labeled_demos": NUM_DEMOS,
    "init_temperature": 1.0,
    "program_aware_proposer": True,
    "data_aware_proposer": True,
}
"""DSPy's defaults."""


@dataclass(frozen=True)
class World:
    """How good programs are, in log odds: means and standard deviations.

    Args:
        instructions: Of proposed instructions.
        demos: Of a set of four demos.
        together: Of how instructions and demos go together.
        failing: Largest share of answers that cannot be read.
    """

    instructions: tuple[float, float]
    demos: tuple[float, float]
    together: float = 0.0
    failing: float = 0.0


WORLDS = {
    "instructions": World(instructions=(0.2, 0.8), demos=(0.0, 0.12)),
    "demos": World(instructions=(0.0, 0.12), demos=(0.5, 0.5)),
    "both": World((0.1, 0.5), (0.3, 0.4), together=0.4, failing=0.2),
}


def drawn(*seed: object) -> random.Random:
    """Chance that is the same for the same things."""
    return random.Random(hashlib.sha256(repr(seed).encode()).digest())  # noqa: S311


@dataclass(frozen=True)
class Truth:
    """What is true of the programs of a world in one run."""

    world: World
    seed: int

    def log_odds(self, variant: str, demos: tuple[str, ...]) -> float:
        """Of a right answer to an example of mean difficulty."""
        value, (mean, sd) = BASE, self.world.instructions
        if variant:
            value += drawn(self.seed, variant).gauss(mean, sd)
        mean, sd = self.world.demos
        each = mean / NUM_DEMOS, sd / math.sqrt(NUM_DEMOS)
        value += sum(drawn(self.seed, demo).gauss(*each) for demo in demos)
        if variant and demos:
            together = drawn(self.seed, variant, demos, "together")
            value += together.gauss(0.0, self.world.together)
        return value

    def failing(self, variant: str) -> float:
        """The share of answers that cannot be read."""
        return drawn(self.seed, variant, "failing").uniform(0.0, self.world.failing)

    def score(self, instructions: str, demos: tuple[str, ...]) -> float:
        """The true mean score of a program, in [0, 1]."""
        variant = variant_of(instructions)
        odds = self.log_odds(variant, demos)
        right = fmean(sigmoid(odds - difficulty) for difficulty in difficulties())
        return right * (1.0 - self.failing(variant))

    def of_program(self, program: dspy.Module) -> float:
        """The true mean score of a program."""
        (predictor,) = program.predictors()
        demos = tuple(demo["question"] for demo in predictor.demos)
        return self.score(predictor.signature.instructions, demos)

    def answer(self, prompt: str) -> str:
        """The LM's answer to any prompt."""
        if not world.is_task(prompt):
            return world.answer(f"{self.seed} {prompt}")
        *demos, asked = re.findall(r"\b[tv]\d+\b", prompt)
        variant, dice = variant_of(prompt), drawn(self.seed, prompt)
        if dice.random() < self.failing(variant):
            return world.GARBAGE
        odds = self.log_odds(variant, tuple(demos))
        odds -= drawn(self.seed, asked, "difficulty").gauss(0.0, DIFFICULTY)
        return f'{{"answer": "{9 * (dice.random() < sigmoid(odds))}"}}'


def sigmoid(odds: float) -> float:
    """The probability of those log odds."""
    return 1.0 / (1.0 + math.exp(-odds))


@cache
def difficulties() -> list[float]:
    """Those of all examples that there could be."""
    normal = NormalDist(0.0, DIFFICULTY)
    return [normal.inv_cdf((i + 0.5) / 200) for i in range(200)]


def variant_of(text: str) -> str:
    """Which proposed instructions these are; "": none."""
    variant = re.search(r"variant (\d+)", text)
    return variant[1] if variant else ""


@dataclass(frozen=True)
class Outcome:
    """One run.

    Args:
        gain: Of the chosen program in truth, in score points.
        calls: Paid LM calls.
        tried: Candidates.
        short: How far the chosen one lies below the truly best one of them.
        gave_up: That one was given up.
    """

    gain: float
    calls: float
    tried: float
    short: float
    gave_up: float


def outcome(
    chosen: float, base: float, calls: int, tried: dict[float, bool]
) -> Outcome:
    """Of the true scores that were tried, and whether they were given up."""
    best = max(tried)
    return Outcome(
        gain=chosen - base,
        calls=calls,
        tried=len(tried),
        short=best - chosen,
        gave_up=float(tried[best] and best > chosen),
    )


def ours(truth: Truth, folder: Path, n_val: int) -> Outcome:
    """One `optimize`."""
    lm = world.lm(folder, truth.answer, num_threads=1)
    params = world.settings(seed=truth.seed, miprov2=LIGHT)
    result = world.run(folder, lm, params, n_train=N_TRAIN, n_val=n_val)
    tried: dict[float, bool] = {}
    scores: dict[str, float] = {}
    for trial in result.trials:
        name = f"{trial.instruction} {trial.demo_set}"
        for prompt in trial.prompts:
            demos = tuple(demo["question"] for demo in prompt.demos)
            scores[name] = truth.score(prompt.instructions, demos)
        tried[scores[name]] = trial.kind == "raced"
    base = truth.of_program(world.student())
    chosen = truth.of_program(result.program)
    return outcome(chosen, base, result.report.spent.paid, tried)


def bare(truth: Truth, folder: Path, n_val: int) -> Outcome:
    """MIPROv2 as DSPy's documentation uses it; failing answers do not end it."""
    dspy.configure_cache(disk_cache_dir=str(folder))
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return truth.answer(prompt)

    settings = LMParams()
    engine = PlainEngine(answer)
    lm = dspy.LM("openai/scripted", engine=engine, max_tokens=settings.max_tokens)
    bounds = {"num_threads": 1, "max_errors": NEVER_GIVE_UP}
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        optimizer = MIPROv2(metric=world.metric, seed=truth.seed, **bounds)
        program = optimizer.compile(
            world.student(),
            trainset=world.examples("t", N_TRAIN),
            valset=world.examples("v", n_val),
        )
    parts = [truth.of_program(e["program"]) for e in program.mb_candidate_programs]
    whole = [truth.of_program(e["program"]) for e in program.candidate_programs]
    tried = {**dict.fromkeys(parts, True), **dict.fromkeys(whole, False)}
    base = truth.of_program(world.student())
    return outcome(truth.of_program(program), base, len(asked), tried)


def measured(side: Any, truth: Truth, n_val: int) -> tuple[float, ...]:
    """One run, without DSPy's chatter."""
    chatter = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(chatter),
        contextlib.redirect_stderr(chatter),
    ):
        return astuple(side(truth, Path(folder), n_val))


def ratio(ours_: NDArray[np.float64], bare_: NDArray[np.float64]) -> float:
    """Of the gains for a call; the first two columns are gain and calls."""
    (gain, calls), (other, others) = ours_.mean(0)[:2], bare_.mean(0)[:2]
    return float(gain / calls / (other / others))


def interval(pairs: list[tuple[Any, Any]]) -> str:
    """Mean of the worlds' ratios, with its bootstrap interval over the seeds."""
    rng, n = np.random.default_rng(9), len(pairs[0][0])
    draws = []
    for _ in range(2000):
        rows = [rng.integers(n, size=n) for _ in pairs]
        both = zip(pairs, rows, strict=True)
        draws.append(fmean(ratio(a[row], b[row]) for (a, b), row in both))
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{fmean(ratio(a, b) for a, b in pairs):.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Prints two lines for each world, and the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--val", type=int, default=100)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=[*WORLDS])
    options = parser.parse_args()
    dspy.disable_logging()
    logging.disable(logging.ERROR)
    print("world         side   gain  calls  per 100  tried  short  gave up")
    pairs = []
    for name in options.worlds:
        sides = []
        for title, side in (("DSPy", bare), ("ours", ours)):
            truths = [Truth(WORLDS[name], seed) for seed in range(1, options.seeds + 1)]
            rows = np.array([measured(side, truth, options.val) for truth in truths])
            gain, calls, tried, short, gave_up = rows.mean(0)
            print(
                f"{name:13} {title}  {gain:.3f}  {calls:5.0f}  "
                f"{100 * gain / calls:7.4f}  {tried:5.1f}  {short:.3f}  {gave_up:7.2f}",
                flush=True,
            )
            sides.append(rows)
        pairs.append((sides[1], sides[0]))
        print(f"{name:13} ratio {interval(pairs[-1:])}", flush=True)
    print(f"mean ratio {interval(pairs)}")


if __name__ == "__main__":
    main()
