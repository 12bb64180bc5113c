"""Which format keeps which program: the zoo of the tests, saved here, loaded elsewhere.

Usage: PYTHONPATH=src:. python benchmarks/formats.py. A program is kept when a fresh
process loads it and each of its predictors renders byte-identical ChatAdapter and
JSONAdapter messages; once with the module that defines the program, once without.
"""

import json
import logging
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
import dspy

from po_optimizer.persistence import (
    extract_program_components,
    load_program_from_components,
    snapshot,
)
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.modules import predictors
from po_optimizer.persistence.prompts import prompt_hashes

ROOT = Path(__file__).parents[1]
ANY = (Exception, SystemExit)  # whatever a format does, it is one cell of the table


def save_state(made: Any, path: Path) -> None:
    """DSPy's own JSON."""
    made.save(path)


def load_state(path: Path, name: str) -> Any:
    """DSPy's own JSON, into a fresh program of the same code, all prompts blank."""
    from tests.persistence.zoo import ZOO  # noqa: PLC0415 not there without the module

    made = ZOO[name]()
    for predictor in predictors(made).values():
        predictor.demos = []
        predictor.signature = predictor.signature.with_instructions("blank")
    made.load(path)
    return made


Save = Callable[[Any, Path], Any]
Load = Callable[[Path, str], Any]
FORMATS: dict[str, tuple[Save, Load]] = {
    "pickle": (
        lambda made, path: path.write_bytes(pickle.dumps(made)),
        lambda path, _: pickle.loads(path.read_bytes()),  # noqa: S301 our own files
    ),
    "dill": (
        lambda made, path: path.write_bytes(dill.dumps(made)),
        lambda path, _: dill.loads(path.read_bytes()),  # noqa: S301 our own files
    ),
    "save_program (cloudpickle)": (
        lambda made, path: made.save(path.with_suffix(""), save_program=True),
        lambda path, _: dspy.load(path.with_suffix(""), allow_pickle=True),
    ),
    "save (state JSON)": (save_state, load_state),
    "our components": (
        lambda made, path: path.write_bytes(
            fmt.file_bytes(extract_program_components(made))
        ),
        lambda path, _: load_program_from_components(path, allowed_packages=("tests",)),
    ),
    "our snapshot": (
        lambda made, path: path.write_bytes(snapshot.dumps(made)),
        lambda path, _: snapshot.loads(path.read_bytes()),
    ),
}


def write(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Save each program in each format; the files, and the prompts expected."""
    from tests.persistence.zoo import ZOO  # noqa: PLC0415 not there without the module

    files, expected = {}, {}
    for number, (name, make) in enumerate(ZOO.items()):
        made = make()
        expected[name] = sorted(prompt_hashes(made).values())
        for i, (kind, (save, _)) in enumerate(FORMATS.items()):
            path = folder / f"{number}-{i}.json"
            try:
                save(made, path)
            except ANY:
                continue
            files[f"{kind}|{name}"] = str(path)
    return files, expected


def read(files: dict[str, str]) -> dict[str, Any]:
    """Load each file and render; None for those that fail."""
    found: dict[str, Any] = {}
    for key, path in files.items():
        kind, _, name = key.partition("|")
        try:
            found[key] = sorted(
                prompt_hashes(FORMATS[kind][1](Path(path), name)).values()
            )
        except ANY:
            found[key] = None
    return found


def read_elsewhere(files: dict[str, str], *, with_module: bool) -> dict[str, Any]:
    """`read` in a fresh process, with or without the defining module."""
    path = [str(ROOT / "src"), str(ROOT / "benchmarks"), *[str(ROOT)] * with_module]
    code = (
        f"import sys, json; sys.path[:0] = {path!r}\n"
        "import formats; formats.quiet()\n"
        "found = formats.read(json.load(sys.stdin))\n"
        "print(json.dumps(found))"
    )
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(  # noqa: S603 our own interpreter
        command, input=json.dumps(files), capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def quiet() -> None:
    """No log lines between the rows."""
    logging.disable(logging.CRITICAL)


def main() -> None:
    """Print the table."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        files, expected = write(Path(folder))
        for with_module in (True, False):
            found = read_elsewhere(files, with_module=with_module)
            print(
                f"\n{'with' if with_module else 'without'} the module: {len(expected)}"
            )
            print(f"{'format':28s} kept  save fails  load fails  other prompts")
            for kind in FORMATS:
                cells = [found.get(f"{kind}|{n}", "unsaved") for n in expected]
                kept = sum(
                    c == e for c, e in zip(cells, expected.values(), strict=True)
                )
                unsaved, failed = cells.count("unsaved"), cells.count(None)
                other = len(cells) - kept - unsaved - failed
                print(f"{kind:28s} {kept:4d}  {unsaved:10d}  {failed:10d}  {other:13d}")


if __name__ == "__main__":
    main()
