"""How busy the LM is during an optimization, stage by stage, against bare MIPROv2.

    python benchmarks/utilization.py [--repeats 3] [--seconds 0.2] [--slots 8]

The scripted LM answers `slots` calls at a time, each in `seconds`; more wait. Both
sides run MIPROv2 with the same LM, data, sizes and seed and `slots` threads, in turns,
each with a fresh response cache, whose opening is part of the baseline. Utilization is
busy slot-seconds over slots x wall time, in [0, 1]; a stage lasts from its first call's
start to the next stage's. `search` is ours with `racing: false`, which makes the calls
of bare MIPROv2 and finds its program; `race` is the default, which makes fewer calls.
"""

import argparse
import contextlib
import io
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt import MIPROv2

sys.path.insert(0, str(Path(__file__).parents[1]))
from overhead import _CONSTRUCTED, PlainEngine
from tests.optimization import world

from po_optimizer.optimization.candidates import candidate_key
from po_optimizer.params.lm import LMParams

N_TRAIN, N_VAL = 60, 34
SIZES = {
    "num_candidates": 10,
    "num_trials": 10,
    "max_bootstrapped_demos": 4,
    "max_labeled_demos": 4,
    "program_aware_proposer": True,
    "data_aware_proposer": True,
}
STAGES = ("baseline", "bootstrap", "propose", "trials", "whole")


class Slots:
    """An LM with a number of slots; notes when each answer was being written."""

    def __init__(self, slots: int, seconds: float) -> None:
        self.slots = slots
        self.busy: list[tuple[float, float]] = []
        self._seconds = seconds
        self._free = threading.Semaphore(slots)

    def __call__(self, prompt: str) -> str:
        """The small world's answer, after a while in a slot."""
        with self._free:
            start = time.perf_counter()
            time.sleep(self._seconds)
            self.busy.append((start, time.perf_counter()))
        return world.answer(prompt)

    def share(self, start: float, end: float) -> float:
        """Utilization between two moments."""
        spans = (min(b, end) - max(a, start) for a, b in list(self.busy))
        return sum(max(0.0, span) for span in spans) / (self.slots * (end - start))


class Stages:
    """The moments at which the stages of one run begin."""

    def __init__(self) -> None:
        self.begins: list[tuple[str, float]] = []

    def begin(self, name: str) -> None:
        """A stage begins."""
        self.begins.append((name, time.perf_counter()))

    def measured(self, lm: Slots) -> dict[str, tuple[float, float]]:
        """Wall seconds and utilization of each stage and of the whole."""
        begins = [*self.begins, ("end", time.perf_counter())]
        found: dict[str, tuple[float, float]] = {}
        for (name, start), (_, end) in itertools.pairwise(begins):
            found[name] = (end - start, lm.share(start, end))
        start, end = begins[0][1], begins[-1][1]
        return {**found, "whole": (end - start, lm.share(start, end))}


class StagedMIPROv2(MIPROv2):
    """DSPy's MIPROv2; only the moments are noted."""

    stages: Stages

    def _bootstrap_fewshot_examples(self, *args: Any, **kwargs: Any) -> Any:
        self.stages.begin("bootstrap")
        return super()._bootstrap_fewshot_examples(*args, **kwargs)

    def _propose_instructions(self, *args: Any, **kwargs: Any) -> Any:
        self.stages.begin("propose")
        return super()._propose_instructions(*args, **kwargs)

    def _optimize_prompt_parameters(self, *args: Any, **kwargs: Any) -> Any:
        self.stages.begin("trials")
        return super()._optimize_prompt_parameters(*args, **kwargs)


def ours(folder: Path, slots: Slots, stages: Stages, *, racing: bool) -> str:
    """One `optimize`."""
    words = {"bootstrap demos": "bootstrap", "propose instructions": "propose"}

    def told(event: Any) -> None:
        if (name := getattr(event, "name", None)) is not None:
            stages.begin(words.get(name, name))

    lm = world.lm(folder, slots, num_threads=slots.slots)
    params = world.settings(miprov2={**SIZES, "racing": racing})
    result = world.run(folder, lm, params, n_train=N_TRAIN, n_val=N_VAL, progress=told)
    return candidate_key(result.program)


def bare(folder: Path, slots: Slots, stages: Stages) -> str:
    """MIPROv2 as DSPy's documentation uses it; its baseline is part of the trials.

    For the same stages as ours the baseline is evaluated first, as people do who want
    to know what they gained; MIPROv2 then finds it in the cache.
    """
    stages.begin("baseline")
    dspy.configure_cache(disk_cache_dir=str(folder))
    settings = LMParams()
    lm = dspy.LM(
        "openai/scripted",
        engine=PlainEngine(slots),
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
    )
    every = world.settings(miprov2=SIZES).miprov2.model_dump(exclude={"racing"})
    make = {key: every.pop(key) for key in _CONSTRUCTED}
    valset, threads = world.examples("v", N_VAL), slots.slots
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        dspy.Evaluate(devset=valset, metric=world.metric, num_threads=threads)(
            world.student()
        )
        optimizer = StagedMIPROv2(
            metric=world.metric, num_threads=threads, seed=9, **make
        )
        optimizer.stages = stages
        trainset = world.examples("t", N_TRAIN)
        program = optimizer.compile(
            world.student(), trainset=trainset, valset=valset, **every
        )
    return candidate_key(program)


def play(side: str, folder: Path, slots: Slots, stages: Stages) -> str:
    """One run, without DSPy's chatter; what program it found."""
    sides: dict[str, Callable[[Path, Slots, Stages], str]]
    search, race = partial(ours, racing=False), partial(ours, racing=True)
    sides = {"bare": bare, "search": search, "race": race}
    chatter = io.StringIO()
    with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
        return sides[side](folder, slots, stages)


def main() -> None:
    """Prints one line per stage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--slots", type=int, default=8)
    options = parser.parse_args()
    dspy.disable_logging()
    sides = ("bare", "search", "race")
    runs: dict[str, list[dict[str, tuple[float, float]]]] = {s: [] for s in sides}
    calls: dict[str, int] = {}
    programs = set()
    with tempfile.TemporaryDirectory() as name:
        for side in sides:  # imports are no part of the first run
            play(side, Path(name) / f"{side}-warm", Slots(8, 0.0), Stages())
        for number in range(options.repeats):
            for side, measured in runs.items():
                slots, stages = Slots(options.slots, options.seconds), Stages()
                program = play(side, Path(name) / f"{side}{number}", slots, stages)
                programs |= {program} if side != "race" else set()
                measured.append(stages.measured(slots))
                calls[side] = len(slots.busy)
    print("stage      bare: s  util  search: s  util  race: s  util")
    for stage in STAGES:
        columns = [
            f"{statistics.median(run[stage][i] for run in measured):7.2f}"
            for measured in runs.values()
            for i in (0, 1)
        ]
        print(f"{stage:9}", *columns)
    print(f"LM calls: {calls}; bare and search, same program: {len(programs) == 1}")


if __name__ == "__main__":
    main()
