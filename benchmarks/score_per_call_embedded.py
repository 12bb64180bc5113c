"""True gain for a paid call of the embedded LM: racing against MIPROv2's own search.

    python benchmarks/score_per_call_embedded.py [--seeds 10] [--folder answers]

The role of `make demo`, on the embedded LM of the tests. Demo sets and instructions are
bootstrapped and proposed once, by DSPy, and given to both sides, so that what differs
is the search over them: DSPy's with `auto: light` and its other defaults, and racing as
it is on by default. Each seed searches anew on the same 20 validation examples, in an
order of its own; the gain over the baseline is that on 30 examples which no search
sees. Counted are distinct calls of a search, and those of bootstrapping and of the
proposals that a side uses.

Answers are kept in the folder, and both sides take them from there: a run that was
ended goes on where it was. The first one takes an hour.
"""

import argparse
import contextlib
import io
import json
import logging
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

import dspy
import numpy as np
from dspy.teleprompt import MIPROv2
from dspy.utils.exceptions import AdapterParseError

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "roles"))
from score_per_call import LIGHT, interval
from tests.weights import SMALL

from po_optimizer.lms.build import make_lm
from po_optimizer.lms.embedded.server import stop_servers
from po_optimizer.lms.lm import MeteredLM, use_lm
from po_optimizer.optimization.candidates import demos_key
from po_optimizer.optimization.job import NEVER_GIVE_UP, Job
from po_optimizer.optimization.run import optimize
from po_optimizer.params.lm import DecodingBounds, LMParams
from po_optimizer.params.optimize import OptimizeParams
from return_form.role import FormFiller, form_metric

RECORDS = Path(__file__).parents[1] / "roles/return_form/records.jsonl"
TRAINSET, VALSET, UNSEEN = slice(24), slice(24, 44), slice(88, 118)
PROPOSED = {"DSPy": 3, "ours": 6}
"""Instructions that a side tries with `auto: light`, of the six that are proposed."""
SUMMARIES = 4
"""Calls that describe data and program, before any instruction is proposed."""
CALLS_OF_ONE = 3
"""Calls that propose one instruction."""


class CountedFormFiller(FormFiller):
    """The role's program, which notes the distinct calls that it makes."""

    asked: set[tuple[Any, ...]] = set()  # noqa: RUF012 -- copies of the program share it

    def forward(self, message: str) -> dspy.Prediction:
        """As the role's."""
        key = (self.fill.signature.instructions, demos_key(self.fill.demos), message)
        self.asked.add(key)
        return super().forward(message)


@dataclass(frozen=True)
class Proposals:
    """What both sides search: demo sets and instructions, each by predictor."""

    demo_sets: dict[int, list[Any]]
    instructions: dict[int, list[str]]
    bootstrapped: int  # calls


def examples() -> list[dspy.Example]:
    """The role's records, in an order by chance."""
    lines = RECORDS.read_text().splitlines()
    rows = [dspy.Example(**json.loads(line)).with_inputs("message") for line in lines]
    random.Random(9).shuffle(rows)  # noqa: S311 -- no secret
    return rows


def bare_optimizer(lm: MeteredLM, seed: int) -> MIPROv2:
    """MIPROv2 as DSPy's documentation uses it; failing answers do not end it."""
    return MIPROv2(
        metric=form_metric,
        prompt_model=lm,
        task_model=lm,
        num_threads=1,
        seed=seed,
        max_errors=NEVER_GIVE_UP,
    )


def propose(lm: MeteredLM, trainset: list[dspy.Example]) -> Proposals:
    """DSPy's own bootstrapping and proposals, once."""
    optimizer, student = bare_optimizer(lm, 9), CountedFormFiller()
    optimizer._set_random_seeds(9)
    CountedFormFiller.asked.clear()
    demo_sets = optimizer._bootstrap_fewshot_examples(
        student,
        trainset,
        9,
        None,
        num_fewshot_candidates=6,
        max_bootstrapped_demos=4,
        max_labeled_demos=4,
        max_errors=NEVER_GIVE_UP,
        metric_threshold=None,
    )
    bootstrapped = len(CountedFormFiller.asked)
    instructions = optimizer._propose_instructions(
        *(student, trainset, demo_sets, 10, True, True, True, True),
        num_instruct_candidates=PROPOSED["ours"],
    )
    return Proposals(demo_sets, instructions, bootstrapped)


@contextlib.contextmanager
def given(proposals: Proposals) -> Iterator[None]:
    """Within the block MIPROv2 takes these and asks for none."""

    def demo_sets(_: Any, *_a: Any, num_fewshot_candidates: int, **_k: Any) -> Any:
        return {0: proposals.demo_sets[0][:num_fewshot_candidates]}

    def instructions(_: Any, *_a: Any, num_instruct_candidates: int, **_k: Any) -> Any:
        return {0: proposals.instructions[0][:num_instruct_candidates]}

    with (
        patch.object(MIPROv2, "_bootstrap_fewshot_examples", demo_sets),
        patch.object(MIPROv2, "_propose_instructions", instructions),
    ):
        yield


def search(
    side: str, lm: MeteredLM, seed: int, trainset: list[Any], valset: list[Any]
) -> Any:
    """The program that a side chooses."""
    if side == "DSPy":
        with use_lm(lm, stage="bare"):
            return bare_optimizer(lm, seed).compile(
                CountedFormFiller(), trainset=trainset, valset=valset
            )
    job = Job(
        student=CountedFormFiller(),
        trainset=trainset,
        valset=valset,
        metric=form_metric,
        task_lm=lm,
        prompt_lm=lm,
        params=OptimizeParams(seed=seed, miprov2=LIGHT),
    )
    with tempfile.TemporaryDirectory() as folder:
        return optimize(job, workspace=Path(folder), progress=lambda _: None).program


def score(program: dspy.Module, rows: list[dspy.Example]) -> float:
    """The mean score; an answer that cannot be read is 0.0."""

    def of(row: dspy.Example) -> float:
        try:
            return float(form_metric(row, program(**row.inputs())))
        except AdapterParseError:
            return 0.0

    return fmean(map(of, rows))


def measure(lm: MeteredLM, seeds: int) -> None:
    """Prints a line for each side and seed, then the ratio."""
    records = examples()
    trainset, unseen = records[TRAINSET], records[UNSEEN]
    rows: dict[str, list[tuple[float, int]]] = {side: [] for side in PROPOSED}
    chatter = io.StringIO()
    with contextlib.redirect_stdout(chatter), use_lm(lm, stage="pool"):
        proposals = propose(lm, trainset)
        base = score(CountedFormFiller(), unseen)
    print(f"baseline {base:.3f}; seed, side, gain, calls", flush=True)
    for seed in range(1, seeds + 1):
        valset = records[VALSET]
        valset = random.Random(seed).sample(valset, len(valset))  # noqa: S311 -- no secret
        for side, n_proposed in PROPOSED.items():
            CountedFormFiller.asked.clear()
            with contextlib.redirect_stdout(chatter), given(proposals):
                program = search(side, lm, seed, trainset, valset)
            calls = len(CountedFormFiller.asked) + proposals.bootstrapped
            calls += SUMMARIES + CALLS_OF_ONE * n_proposed
            with use_lm(lm, stage="truth"):
                gain = score(program, unseen) - base
            rows[side].append((gain, calls))
            print(f"{seed:4d} {side:6} {gain:.3f} {calls:5d}", flush=True)
    bare, ours = (np.array(rows[side]) for side in PROPOSED)
    for side, values in (("DSPy", bare), ("ours", ours)):
        gain, calls = values.mean(0)
        print(f"{side:6} {gain:.3f} {calls:5.0f} {100 * gain / calls:.4f} per 100")
    print(f"ratio {interval([(ours, bare)])}")


def main() -> None:
    """Measures with the answers of a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=Path("build/answers"))
    options = parser.parse_args()
    dspy.disable_logging()
    logging.disable(logging.ERROR)
    params = LMParams(
        max_tokens=120,
        context_tokens=4096,
        seconds_per_example=2,
        bounds=DecodingBounds(text_characters=40),
        num_threads=1,
        embedded=SMALL,
    )
    lm = make_lm(params, options.folder, run_id="benchmark")
    try:
        measure(lm, options.seeds)
    finally:
        stop_servers()


if __name__ == "__main__":
    main()
