"""Memory and time of evaluate at 1,000 and at 20,000 examples, in one run.

    python benchmarks/large_evaluation.py [--sizes 1000 20000] [--characters 4000]

Each size is a process of its own: predict, compare, report, through the real
nodes, datasets, ledger and response cache, with a scripted LM without latency and a
made-up role whose records have about 4,000 characters. Printed per size: the peak of
the resident memory (VmHWM) and how much of it is there before the first example; then
how much more the largest needs than the smallest (the aim is at most 1.2).
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEPS = (
    "evaluate.predict_programs_node",
    "evaluate.compare_programs_node",
    "report.write_report_node",
)
# after the first; too short to measure
BETWEEN = ("evaluate.count_calls_node", "evaluate.compare_prompts_node")


class NotKept(list):
    """Stands where the scripted LM keeps its prompts for tests."""

    def append(self, prompt: object) -> None:
        """Forgets it."""


def peak_mb() -> float:
    """Most resident memory of this process so far, in MB of 10^6 bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def measure(n: int, characters: int) -> None:
    """Runs the stage in the working directory; prints a line of the table."""
    sys.path.insert(0, str(ROOT))
    from tests.pipelines import evaluating  # noqa: PLC0415 -- only the child needs it
    from tests.scripted import scripted_lm  # noqa: PLC0415

    logging.disable(logging.INFO)
    lm = scripted_lm(evaluating.answer, Path("lm"), num_threads=4)
    lm.scripted.prompts = NotKept()
    catalog = evaluating.catalog_in(lm, evaluating.records(n, characters))
    before = peak_mb()
    seconds = []
    for step in STEPS:
        clock = time.perf_counter()
        evaluating.evaluate(catalog, only=step)
        seconds.append((time.perf_counter() - clock) / n * 1000)
        for node in BETWEEN if step == STEPS[0] else ():
            evaluating.evaluate(catalog, only=node)
    written = sum(one.stat().st_size for one in Path("data").rglob("*.jsonl")) / 1e6
    columns = "".join(f"{each:10.2f}" for each in seconds)
    print(f"{n:8d}{written:9.0f}{before:11.0f}{peak_mb():9.0f}{columns}", flush=True)


def main() -> None:
    """Prints the table and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 20_000])
    parser.add_argument("--characters", type=int, default=4000)
    parser.add_argument("--child", action="store_true")
    given = parser.parse_args()
    if given.child:
        measure(given.sizes[0], given.characters)
        return
    print("                     peak, MB          seconds per 1,000 examples")
    print("examples  MB read   imports    whole   predict   compare    report")
    peaks = []
    for n in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--child", f"--sizes={n}"]
            done = subprocess.run(  # noqa: S603 -- this file
                [*command, f"--characters={given.characters}"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=True,
            )
        line = done.stdout.splitlines()[-1]
        print(line, flush=True)
        peaks.append(float(line.split()[3]))
    print(f"peak of the largest / of the smallest: {peaks[-1] / peaks[0]:.2f}")


if __name__ == "__main__":
    main()
