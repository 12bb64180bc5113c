"""Kills whole optimizations with SIGKILL at random moments and resumes each to its end.

Every run is a forked child of a process that has imported everything and started no
thread, so that a round takes about as long as the optimization itself.

    python -m tests.optimization.kill_rounds --rounds 200 --threads 1 --seed 1
"""

import argparse
import importlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from po_optimizer.optimization.journal import Trial, read_journal
from po_optimizer.params.optimize import OptimizeParams
from tests.optimization import world

_SECONDS_PER_CALL = 0.01


@dataclass
class Counts:
    """What the rounds showed.

    `calls_repeated` are paid calls beyond those of the uninterrupted run: only calls
    that were in flight at a kill may be among them, at most one a thread and kill.
    """

    optimizer: str
    threads: int
    rounds: int = 0
    kills: int = 0
    calls_uninterrupted: int = 0
    calls_repeated: int = 0
    most_repeated_per_kill: float = 0.0
    wrong: list[str] = field(default_factory=list)


def optimize_once(folder: Path, params: OptimizeParams, threads: int) -> None:
    """One run of the command: optimizes, then releases the program."""
    lm = world.lm(folder, world.slow(_SECONDS_PER_CALL), num_threads=threads)
    result = world.run(folder, lm, params, save_best=Store(folder / "best.json"))
    name = result.report.optimization_id
    report = [world.document(result.program), result.report.best.score]
    Store.write(folder / "released" / f"{name}.json", report)


class Store:
    """Writes the best program so far, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, program: Any, trial: Trial) -> None:
        """Takes a program."""
        self.write(self.path, [world.document(program), trial.score])

    @staticmethod
    def write(path: Path, content: Any) -> None:
        """Replaces the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(content))
        partial.replace(path)


def in_child(folder: Path, params: OptimizeParams, threads: int) -> int:
    """Starts a run in a fork and gives its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        optimize_once(folder, params, threads)
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def paid(folder: Path) -> int:
    """Paid calls in the ledger."""
    path = folder / "ledger.sqlite"
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    try:
        found = connection.execute(
            "SELECT coalesce(sum(paid), 0) FROM calls"
        ).fetchone()
    except sqlite3.OperationalError:  # killed before the table was made
        return 0
    finally:
        connection.close()
    return int(found[0])


def released(folder: Path) -> list[Any]:
    """What was released."""
    return [json.loads(p.read_text()) for p in (folder / "released").glob("*.json")]


def play(rounds: int, optimizer: str, threads: int, seed: int, folder: Path) -> Counts:
    """Plays the rounds and compares each with the uninterrupted run."""
    for late in ("optuna", "gepa", "dspy.teleprompt.gepa.gepa_utils"):
        importlib.import_module(late)  # else most kills would hit an import
    params = world.settings(optimizer)
    counts = Counts(optimizer=optimizer, threads=threads)
    whole = folder / "whole"
    clock = time.monotonic()
    # one thread: several may ask the same at the same moment, and pay for both
    os.waitpid(in_child(whole, params, 1), 0)
    seconds = (time.monotonic() - clock) / (1 + threads / 4)
    counts.calls_uninterrupted = paid(whole)
    rng = random.Random(seed)  # noqa: S311 -- moments of kills
    for number in range(rounds):
        one_round(
            folder / str(number),
            whole,
            params,
            seconds=seconds,
            rng=rng,
            counts=counts,
        )
    return counts


def one_round(
    folder: Path,
    whole: Path,
    params: OptimizeParams,
    *,
    seconds: float,
    rng: random.Random,
    counts: Counts,
) -> None:
    """Kills once or twice, resumes, compares."""
    kills, before = 0, 0
    for _ in range(rng.choice([1, 1, 2])):
        pid = in_child(folder, params, counts.threads)
        time.sleep(rng.uniform(0.0, seconds))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        kills += os.WIFSIGNALED(status)
        if (now := paid(folder)) < before:
            counts.wrong.append(f"{folder.name}: the ledger shrank, {before} to {now}")
        before = now
    os.waitpid(in_child(folder, params, counts.threads), 0)
    counts.rounds += 1
    counts.kills += kills
    compare(folder, whole, kills, counts)


def compare(folder: Path, whole: Path, kills: int, counts: Counts) -> None:
    """Notes every difference from the uninterrupted run."""
    if released(folder) != released(whole) or len(released(folder)) != 1:
        counts.wrong.append(f"{folder.name}: another program was released")
    trials, expected = (read_journal(f / "trials.jsonl") for f in (folder, whole))
    same = len(trials) == len(expected)
    if not same or not all(
        a.same_as(b) for a, b in zip(trials, expected, strict=False)
    ):
        counts.wrong.append(f"{folder.name}: another journal")
    if (folder / "best.json").read_text() != (whole / "best.json").read_text():
        counts.wrong.append(f"{folder.name}: another best program so far")
    repeated = paid(folder) - counts.calls_uninterrupted
    counts.calls_repeated += repeated
    per_kill = repeated / kills if kills else float(repeated)
    counts.most_repeated_per_kill = max(counts.most_repeated_per_kill, per_kill)
    at_once = counts.threads if counts.optimizer == "gepa" else 0
    if not 0 <= repeated <= kills * counts.threads + at_once:
        counts.wrong.append(f"{folder.name}: {repeated} calls repeated, {kills} kills")


def main() -> None:
    """Prints the counts as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--optimizer", default="miprov2")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = play(
            given.rounds, given.optimizer, given.threads, given.seed, Path(folder)
        )
    sys.stdout.write(json.dumps(asdict(counts)) + "\n")


if __name__ == "__main__":
    main()
