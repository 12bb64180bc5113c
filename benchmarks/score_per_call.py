"""What score each optimizer reaches per LM call, and what racing would save.

    python benchmarks/score_per_call.py [--seeds 20]

The LM is scripted and its quality is known: a program's expected score, in [0, 1],
follows from its instructions and demos, an example adds its difficulty and each answer
some chance, so that scores have the standard deviation that the Product Owner's have
(0.15 to 0.2). So the best program's true score is known exactly, without the luck of
the valset that chose it. Each optimizer has about the same number of calls: 34
validation examples, 60 training examples, 13 evaluations of the whole valset.

Columns, means over the seeds: LM calls of the search; score of the baseline in truth,
of the best program on the valset (which flatters it) and in truth; the gain in truth
per 100 calls. Then what racing would have changed, found by looking at the same
evaluations again: the share of the trials' calls that it saves, and how much lower the
true score of the program is that it chooses. The line `miprov2, racing` is the real
thing: `optimize.miprov2.racing=true`.
"""

import argparse
import contextlib
import hashlib
import io
import random
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dspy

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.optimization import world

from po_optimizer.optimization.optimizers.racing import BLOCK, is_hopeless
from po_optimizer.optimization.recorder import Recorder
from po_optimizer.params import OptimizeParams

N_TRAIN, N_VAL = 60, 34
MIPROV2 = {"num_candidates": 10, "num_trials": 12}
SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "miprov2": ("miprov2", MIPROV2),
    "miprov2, racing": ("miprov2", {**MIPROV2, "racing": True}),
    "bootstrap_random_search": (
        "bootstrap_random_search",
        {"num_candidate_programs": 10},
    ),
    "gepa": ("gepa", {"max_full_evals": None, "max_metric_calls": 13 * N_VAL}),
}


@dataclass(frozen=True)
class Evaluated:
    """One candidate on the whole valset.

    Args:
        truth: Its expected score.
        scores: Of each example, in the valset's order.
    """

    truth: float
    scores: list[float]


def drawn(*seed: object) -> random.Random:
    """Chance that is the same for the same things."""
    return random.Random(hashlib.sha256(repr(seed).encode()).digest())  # noqa: S311


def truth(seed: int, instructions: str, demos: tuple[str, ...]) -> float:
    """The expected score of a program."""
    value = 0.5
    if variant := re.search(r"variant (\d+)", instructions):
        value += drawn(seed, variant[1]).uniform(-0.2, 0.15)
    if demos:
        value += 0.02 * len(demos) + drawn(seed, demos).gauss(0.0, 0.03)
    return min(1.0, max(0.0, value))


def answering(seed: int) -> world.Answer:
    """An LM of that quality."""

    def answer(prompt: str) -> str:
        if not world.is_task(prompt):
            return world.answer(f"{seed} {prompt}")
        *demos, asked = re.findall(r"\b[tv]\d+\b", prompt)
        value = truth(seed, prompt, tuple(demos))
        value += drawn(seed, asked).gauss(0.0, 0.15) + drawn(seed, prompt).gauss(0, 0.1)
        return f'{{"answer": "{min(9, max(0, round(9 * value)))}"}}'

    return answer


def truth_of(seed: int, program: dspy.Module) -> float:
    """Of a program of the small world."""
    (predictor,) = program.predictors()
    demos = tuple(demo["question"] for demo in predictor.demos)
    return truth(seed, predictor.signature.instructions, demos)


@contextlib.contextmanager
def evaluations(seed: int, found: list[Evaluated]) -> Iterator[None]:
    """Every evaluation of the whole valset within the block is added."""
    record = Recorder._trial

    def noted(self: Recorder, running: Any, outputs: Any) -> Any:
        if running.whole:
            scores = [float(result[-1]) for result in outputs.results]
            found.append(Evaluated(truth_of(seed, running.program), scores))
        return record(self, running, outputs)

    with patch.object(Recorder, "_trial", noted):
        yield


def optimized(
    name: str, chosen: dict[str, Any], seed: int, folder: Path
) -> tuple[list[Evaluated], float, int]:
    """Evaluations of one search, the true score of its program, LM calls."""
    found: list[Evaluated] = []
    params: OptimizeParams = world.settings(name, **{name: chosen}, seed=seed)
    lm = world.lm(folder, answering(seed), num_threads=1)
    chatter = io.StringIO()
    with evaluations(seed, found), contextlib.redirect_stderr(chatter):
        result = world.run(folder, lm, params, n_train=N_TRAIN, n_val=N_VAL)
    return found, truth_of(seed, result.program), result.report.spent.paid


def raced(found: list[Evaluated]) -> tuple[int, Evaluated]:
    """Valset calls with racing, and the candidate that wins."""
    best, *candidates = found
    calls = 0
    for candidate in candidates:
        seen = _seen(candidate.scores, best.scores)
        calls += seen
        whole = seen == len(candidate.scores)
        if whole and statistics.mean(candidate.scores) > statistics.mean(best.scores):
            best = candidate
    return calls, best


def _seen(scores: list[float], best: list[float]) -> int:
    """Examples until the candidate is given up, or all."""
    looks = range(BLOCK, len(scores), BLOCK)
    return next((n for n in looks if is_hopeless(scores[:n], best)), len(scores))


def measured(name: str, params: dict[str, Any], seed: int) -> list[float]:
    """One search: calls, four scores, and what racing would have changed."""
    with tempfile.TemporaryDirectory() as folder:
        found, true, calls = optimized(name, params, seed, Path(folder))
    base = found[0].truth
    best = max(statistics.mean(one.scores) for one in found)
    spent = sum(len(one.scores) for one in found[1:])
    racing, winner = raced(found)
    gain = 100 * (true - base) / calls
    return [calls, base, best, true, gain, 1 - racing / spent, true - winner.truth]


def main() -> None:
    """Prints one line for each search."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(parser.parse_args().seeds)
    print(
        "optimizer               calls  baseline  valset  truth  gain/100  saved  lost"
    )
    for title, (name, params) in SEARCHES.items():
        rows = [measured(name, params, seed) for seed in seeds]
        calls, *means = (statistics.mean(column) for column in zip(*rows, strict=True))
        numbers = "  ".join(f"{value:6.3f}" for value in means)
        print(f"{title:24} {calls:4.0f}  {numbers}", flush=True)


if __name__ == "__main__":
    main()
