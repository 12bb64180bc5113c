"""Wall time of our `optimize` against a bare MIPROv2 script, same LM, same seed.

    python benchmarks/overhead.py [--repeats 3]

Both run MIPROv2 with the same scripted LM (0 and 50 ms a call), the same data and
seed and 4 threads, alternating, each with a fresh response cache (opening it is part
of both times). Printed per latency: median seconds of each, and their ratio (1.0: no
overhead; the aim is at most 1.10 at 50 ms).
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import dspy
from dspy.teleprompt import MIPROv2

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.optimization import world
from tests.scripted import ScriptedEngine

from po_optimizer.optimization.candidates import candidate_key
from po_optimizer.params.lm import LMParams

N_TRAIN, N_VAL, THREADS = 20, 20, 4
LATENCIES = (0.0, 0.05)
_CONSTRUCTED = (
    "auto",
    "num_candidates",
    "max_bootstrapped_demos",
    "max_labeled_demos",
    "init_temperature",
    "metric_threshold",
)


def ours(folder: Path, seconds: float) -> tuple[float, str]:
    """Seconds and result of `optimize`."""
    clock = time.perf_counter()
    lm = world.lm(folder, world.slow(seconds), num_threads=THREADS)
    params = world.settings(miprov2={"racing": False})  # the same search
    result = world.run(folder, lm, params, n_train=N_TRAIN, n_val=N_VAL)
    return time.perf_counter() - clock, candidate_key(result.program)


class PlainEngine(ScriptedEngine):
    """The scripted engine as dspy.LM takes it, without a meter."""

    supports_function_calling = False
    supports_reasoning = False
    supports_response_schema = True
    supported_params = frozenset({"temperature", "max_tokens", "response_format"})


def bare(folder: Path, seconds: float) -> tuple[float, str]:
    """Seconds and result of MIPROv2 as DSPy's documentation uses it."""
    clock = time.perf_counter()
    dspy.configure_cache(disk_cache_dir=str(folder))
    settings = LMParams()
    lm = dspy.LM(
        "openai/scripted",
        engine=PlainEngine(world.slow(seconds)),
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
    )
    every = world.settings().miprov2.model_dump(exclude={"racing"})
    make = {key: every.pop(key) for key in _CONSTRUCTED}
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        optimizer = MIPROv2(metric=world.metric, num_threads=THREADS, seed=9, **make)
        program = optimizer.compile(
            world.student(),
            trainset=world.examples("t", N_TRAIN),
            valset=world.examples("v", N_VAL),
            **every,
        )
    return time.perf_counter() - clock, candidate_key(program)


def measure(seconds: float, repeats: int, folder: Path) -> str:
    """One line of the table."""
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    programs: set[str] = set()
    for number in range(repeats):
        for name, play in (("bare", bare), ("ours", ours)):
            with contextlib.redirect_stdout(io.StringIO()):
                taken, program = play(folder / f"{name}{seconds}{number}", seconds)
            times[name].append(taken)
            programs.add(program)
    plain, run = (statistics.median(times[name]) for name in ("bare", "ours"))
    same = "yes" if len(programs) == 1 else "no"
    return (
        f"{seconds * 1000:7.0f}  {plain:6.2f}  {run:6.2f}  {run / plain:9.3f}  {same}"
    )


def main() -> None:
    """Prints one line per latency."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    dspy.disable_logging()
    print("ms/call  bare_s  ours_s  ours/bare  same_program")
    with tempfile.TemporaryDirectory() as name:
        measure(0.0, 1, Path(name) / "warm")
        for seconds in LATENCIES:
            print(measure(seconds, repeats, Path(name)))


if __name__ == "__main__":
    main()
