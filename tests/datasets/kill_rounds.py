"""Kills saves into a versioned folder at random moments; each is then done again.

python -m tests.datasets.kill_rounds 60
"""

import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kedro.io.core import Version, generate_timestamp

from po_optimizer.datasets import DSPyProgramDataset
from tests.persistence import zoo


def save(folder: Path, options: dict[str, Any]) -> None:
    """What one run does: the same program, in a version of its own."""
    dataset = DSPyProgramDataset(
        filepath=str(folder / "program.json"),
        version=Version(None, generate_timestamp()),
        verify="inline",
        **options,
    )
    dataset.save(zoo.improved(zoo.Plain()))


def killed(folder: Path, options: dict[str, Any], seconds: float) -> bool:
    """Saves in a child that is killed after that time; False if it was done."""
    child = os.fork()
    if child == 0:
        save(folder, options)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def leftovers(folder: Path) -> list[str]:
    """What is neither a released document nor the snapshot that it names."""
    released = list(folder.rglob("program.json/*/program.json"))
    known = {*released, folder / "program.json", *(path.parent for path in released)}
    for path in released:
        name = json.loads(path.read_bytes()).get("snapshot", {}).get("file", "")
        known.add(path.parent / name)
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p not in known]


def main(rounds: int, options: dict[str, Any]) -> dict[str, int]:
    """The counts."""
    dice = random.Random(9)  # noqa: S311 no secret
    counts = dict.fromkeys(("rounds", "killed", "with_leftovers", "versions"), 0)
    with tempfile.TemporaryDirectory() as name:
        save(Path(name) / "warm", options)
        started = time.perf_counter()
        save(Path(name) / "again", options)
        span = time.perf_counter() - started
        for number in range(rounds):
            folder = Path(name) / str(number)
            counts["killed"] += killed(folder, options, dice.random() * 1.4 * span)
            save(folder, options)
            counts["with_leftovers"] += bool(leftovers(folder))
            counts["versions"] += len(list(folder.rglob("program.json/*/program.json")))
            counts["rounds"] += 1
    return counts


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    given = json.loads(sys.argv[2]) if sys.argv[2:] else {"skip_unchanged": True}
    sys.stdout.write(json.dumps(main(int(sys.argv[1]), given)) + "\n")
