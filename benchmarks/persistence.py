"""What storing a program costs, as ratios to DSPy's own formats in one run.

Usage: python benchmarks/persistence.py [ROUNDS]. The least of processor seconds, which
leave out the disk and most of what else runs on the machine; what is compared takes
turns, and the ratio is what counts.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import dspy
from pydantic import BaseModel

from po_optimizer.persistence import (
    extract_program_components,
    load_program,
    save_program,
    snapshot,
)
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.imports import Imports
from po_optimizer.persistence.codec.values import Decoder, Encoder
from po_optimizer.persistence.components import decode, encode

HERE = (Path(__file__).stem, "__main__")


class Verdict(BaseModel):
    """A typed output."""

    status: Literal["good", "bad"]
    reasons: list[str]


class Judge(dspy.Module):
    """A program of two predictors with a typed output."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.ChainOfThought("text, goal -> summary, keywords: list[str]")
        self.judge = dspy.Predict("text, summary -> verdict: str")

    def forward(self, text: str, goal: str) -> Any:
        """Draft, then judge."""
        draft = self.draft(text=text, goal=goal)
        return self.judge(text=text, summary=draft.summary)


def program(n_demos: int, n_chars: int) -> Judge:
    """An optimized program whose demos have texts of that length."""
    made = Judge()
    for number, predictor in enumerate(made.predictors()):
        instructions = f"Reply briefly and precisely ({number}). " * 8
        predictor.signature = predictor.signature.with_instructions(instructions)
        predictor.demos = [
            dspy.Example(
                text=f"{i} " + "word " * (n_chars // 5),
                goal="short",
                reasoning="because " * 5,
                summary="a summary",
                keywords=["a", "b", "c"],
                verdict="good",
                augmented=True,
            ).with_inputs("text", "goal")
            for i in range(n_demos // 2)
        ]
    return made


def measure_in_turn(
    works: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, float]:
    """The least processor time of each call, in seconds; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = time.process_time()
            work()
            times[name].append(time.process_time() - started)
    return {name: min(seconds) for name, seconds in times.items()}


def encoded(made: Any) -> bytes:
    """A program as bytes, digest made, prompts not rendered."""
    encoder = Encoder()
    tree = encoder.encode(made, "self")
    return fmt.file_bytes(fmt.seal({"program": tree, "types": encoder.types}))


def decoded(data: bytes) -> Any:
    """A program out of a file's bytes, digest checked, prompts not rendered."""
    document = fmt.parse(data, "memory")
    return decode(document, Decoder(Imports(HERE), document["types"]))


def measure(name: str, made: Judge, rounds: int, folder: Path) -> None:
    """Print the ratios for one program."""
    ours, state = folder / "ours.json", folder / "state.json"
    save_program(made, ours, verify="off", dill="off")
    made.save(state)
    blank, data = Judge(), ours.read_bytes()
    save, load, pickle = "DSPy JSON save", "DSPy JSON load", "save_program"
    seconds = measure_in_turn(
        {
            save: lambda: made.save(state),
            f"encode / {save}": lambda: encoded(made),
            f"encode, prompts rendered / {save}": lambda: encode(Encoder(), made),
            f"encode, rendered, compared / {save}": lambda: extract_program_components(
                made
            ),
            load: lambda: blank.load(state),
            f"decode / {load}": lambda: decoded(data),
            f"load, prompts checked / {load}": lambda: load_program(
                ours, allowed_packages=HERE
            ),
            pickle: lambda: made.save(folder / "whole", save_program=True),
            f"save, not read back / {pickle}": lambda: save_program(
                made, ours, verify="off", dill="off"
            ),
            f"save, read back inline / {pickle}": lambda: save_program(
                made, ours, verify="inline", dill="off"
            ),
            f"snapshot / {pickle}": lambda: snapshot.dumps(made),
        },
        rounds,
    )
    rows = {
        name: least / seconds[name.partition(" / ")[2]]
        for name, least in seconds.items()
        if " / " in name
    }
    pickled = (folder / "whole" / "program.pkl").stat().st_size
    rows["size / DSPy JSON"] = len(data) / state.stat().st_size
    rows["size / save_program"] = len(data) / pickled
    started = time.perf_counter()
    save_program(made, ours, dill="off")
    process = time.perf_counter() - started
    print(
        f"\n{name}: {len(data):,} bytes; DSPy JSON save {seconds[save] * 1e3:.1f} ms, "
        f"load {seconds[load] * 1e3:.1f} ms; verified save in a process {process:.2f} s"
    )
    for what, ratio in rows.items():
        print(f"  {what:44s} {ratio:8.2f}x")


def main(rounds: int) -> None:
    """Measure the three sizes."""
    logging.disable(logging.WARNING)
    for name, n_demos, n_chars in (
        ("small", 0, 0),
        ("18 kB of demos", 16, 900),
        ("5 MB of demos", 400, 12_200),
    ):
        with tempfile.TemporaryDirectory() as folder:
            measure(name, program(n_demos, n_chars), rounds, Path(folder))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 15)
