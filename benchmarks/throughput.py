"""Calls a second of a large evaluation, against DSPy's own and the LM alone.

    python benchmarks/throughput.py [--examples 20000] [--seconds 0.05] [--threads 64]

Each side is a process of its own and answers the same examples by the same scripted
LM: `alone` only asks it from so many threads; `dspy.Evaluate` runs a program of one
predictor with DSPy's cache; `ours` is `predict_all`, with ledger, cache and records.
Printed: calls a second, their ratio to the LM alone and to DSPy, milliseconds of the
processor a call, and how much the resident memory grew after the first tenth.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
SIDES = ("alone", "dspy.Evaluate", "ours")


def resident_mb() -> float:
    """Resident memory of this process, in MB of 10^6 bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def measure(side: str, n: int, seconds: float, threads: int) -> None:
    """Evaluates in the working directory; prints seconds, processor seconds and MB."""
    import dspy  # noqa: PLC0415 -- only the child needs it
    from overhead import PlainEngine  # noqa: PLC0415
    from tests.scripted import scripted_lm  # noqa: PLC0415

    from po_optimizer.evaluation import predict_all  # noqa: PLC0415

    logging.disable(logging.INFO)
    memory: list[float] = []

    def answer(_prompt: str) -> str:
        time.sleep(seconds)
        return '{"answer": "9"}'

    def examples() -> Iterator[dspy.Example]:
        for i in range(n):
            if i in (n // 10, n - 1):
                memory.append(resident_mb())
            text = f"number {i}: " + "word " * 20
            yield dspy.Example(question=text, answer="9").with_inputs("question")

    def metric(example: dspy.Example, prediction: dspy.Prediction, _: object = None):
        return float(prediction.answer == example.answer)

    program, engine = dspy.Predict("question -> answer"), PlainEngine(answer)
    ours = scripted_lm(answer, Path("lm"), num_threads=threads)
    engine.prompts = ours.scripted.prompts = type("_", (list,), {"append": print_not})()
    clock, processor = time.perf_counter(), time.process_time()
    if side == "alone":
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(answer, (example.question for example in examples())))
    elif side == "ours":
        records = predict_all(program, examples(), metric, ours, n=n, stage="measure")
        assert sum(record.score for record in records) == n
    else:
        dspy.configure_cache(disk_cache_dir="cache")
        lm = dspy.LM("openai/scripted", engine=engine, temperature=0.0, max_tokens=99)
        with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
            evaluate = dspy.Evaluate(devset=list(examples()), metric=metric)
            evaluate(program, num_threads=threads, display_progress=False)
    taken = time.perf_counter() - clock, time.process_time() - processor
    print(*taken, resident_mb() - memory[0])


def print_not(_prompts: object, _prompt: object) -> None:
    """The scripted LM keeps its prompts for tests; 20,000 are too many."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--side", choices=SIDES)
    given = parser.parse_args()
    if given.side:
        measure(given.side, given.examples, given.seconds, given.threads)
        return
    print("side           calls/s  of alone  of DSPy  cpu_ms/call  memory_MB")
    rates: dict[str, float] = {}
    for side in SIDES:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(  # noqa: S603 -- this file
                [
                    sys.executable,
                    Path(__file__).resolve(),
                    *sys.argv[1:],
                    f"--side={side}",
                ],
                cwd=folder,
                capture_output=True,
                text=True,
                check=True,
            )
        seconds, processor, grown = map(float, done.stdout.splitlines()[-1].split())
        rates[side] = rate = given.examples / seconds
        of_dspy = rate / rates.get("dspy.Evaluate", float("nan"))
        print(
            f"{side:13} {rate:8.0f}  {rate / rates['alone']:8.2f}  {of_dspy:7.2f}"
            f"  {processor / given.examples * 1000:11.2f}  {grown:9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
