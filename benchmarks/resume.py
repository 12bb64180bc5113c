"""What a kill costs: a run killed and resumed against the same run left alone.

    python benchmarks/resume.py [--rounds 6] [--seconds 0.05]

MIPROv2 with 10 candidates and 10 trials, 60 training and 34 validation examples, on a
scripted LM of 50 ms a call, 4 calls at a time. Each round runs it alone, then kills it
(SIGKILL) after a share of that time and runs it again to its end, then once more with
nothing left to ask. Every run is a fork of a process that has imported everything.

Columns: the share of the time after which it was killed; seconds of the run left alone;
seconds before the kill and after it together, over those (1.0: the kill cost nothing);
seconds of the run with nothing left to ask, over those; LM calls paid again, of all.
"""

import argparse
import importlib
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.optimization import world
from tests.optimization.kill_rounds import paid

N_TRAIN, N_VAL, THREADS = 60, 34, 4
SIZES = {"num_candidates": 10, "num_trials": 10}


def start(folder: Path, seconds: float) -> int:
    """Forks a process that optimizes and ends; its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        lm = world.lm(folder, world.slow(seconds), num_threads=THREADS)
        params = world.settings(miprov2=SIZES)
        world.run(folder, lm, params, n_train=N_TRAIN, n_val=N_VAL)
        code = 0
    finally:
        os._exit(code)


def to_the_end(folder: Path, seconds: float) -> float:
    """Seconds of a run."""
    clock = time.perf_counter()
    _, status = os.waitpid(start(folder, seconds), 0)
    assert status == 0
    return time.perf_counter() - clock


def killed(folder: Path, seconds: float, after: float) -> float:
    """Seconds of a run that is killed."""
    clock = time.perf_counter()
    pid = start(folder, seconds)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "it ended before it was killed"
    return time.perf_counter() - clock


def main() -> None:
    """Prints one line per round, then the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.05)
    options = parser.parse_args()
    importlib.import_module("optuna")  # else the first run would import it
    print("killed_at  alone_s  resumed/alone  again/alone  paid_again")
    ratios: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.rounds):
            share = (number + 1) / (options.rounds + 1)
            one, other = Path(name) / f"alone{number}", Path(name) / f"cut{number}"
            alone = to_the_end(one, options.seconds)
            before = killed(other, options.seconds, share * alone)
            resumed = (before + to_the_end(other, options.seconds)) / alone
            again = to_the_end(other, options.seconds) / alone
            twice = f"{paid(other) - paid(one)} of {paid(one)}"
            print(
                f"{share:9.2f}  {alone:7.2f}  {resumed:13.3f}  {again:11.3f}  {twice}"
            )
            ratios.append((resumed, again))
    resumed, again = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"{'median':9}  {'':7}  {resumed:13.3f}  {again:11.3f}")


if __name__ == "__main__":
    main()
