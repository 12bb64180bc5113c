import json
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]


def play(rounds, optimizer, threads):
    """Plays rounds in a process of their own."""
    command = [sys.executable, "-m", "tests.optimization.kill_rounds"]
    given = {"rounds": rounds, "optimizer": optimizer, "threads": threads}
    for name, value in given.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(  # noqa: S603 -- our own module
        command, cwd=REPO, capture_output=True, text=True, check=True, timeout=1800
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("optimizer", "threads"), [("miprov2", 1), ("miprov2", 8), ("gepa", 8)]
)
def test_killed_optimizations_resume_to_the_same_result(optimizer, threads):
    """A round of kill -9: same program, score and journal; no answer paid twice."""
    counts = play(1, optimizer, threads)
    assert counts["wrong"] == []
    assert counts["rounds"] == 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("optimizer", ["miprov2", "gepa", "bootstrap_random_search"])
def test_200_killed_optimizations(optimizer, threads):
    """200 rounds of kill -9 for every optimizer, with 1 thread and with 8."""
    counts = play(200, optimizer, threads)
    assert counts["wrong"] == []
    assert counts["kills"] > 100
