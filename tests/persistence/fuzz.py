"""Opens hostile documents and counts what acts: `python -m tests.persistence.fuzz`.

Attacks that worked once, mutations of honest documents by the dice, and small
documents that ask for much memory or time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.persistence import extract_program_components
from po_optimizer.persistence import format as fmt
from tests.persistence import bait, zoo
from tests.persistence.ordinary import fields, models, tools

ROOT = Path(__file__).parents[2]
GROUPS = ("attacks", "bombs")


def honest() -> dict[str, Any]:
    """The programs whose documents are mutated."""
    names = ("predict typed", "predict media", "nested improved", "react tool")
    names += ("predict values in demos", "best of n improved", "holding", "agent")
    chosen = {name: zoo.ZOO[name]() for name in names if name in zoo.ZOO}
    for theme, cases in (("fields", fields), ("models", models), ("tools", tools)):
        for name in _FROM_ORDINARY[theme]:
            chosen[name] = cases.CASES[name].make()
    chosen["bait"] = bait.program()
    return chosen


_FROM_ORDINARY = {
    "fields": ("decides by types", "validator in Annotated", "model serializer"),
    "models": ("module keeps an lm", "dict of lms"),
    "tools": ("closure over a unit", "partial"),
}


def fuzz(
    folder: Path,
    count: int,
    seed: int,
    groups: tuple[str, ...] = GROUPS,
    *,
    each: bool = False,
) -> dict[str, Any]:
    """What a fresh process saw when it opened hostile documents.

    Args:
        folder: For the documents; empty.
        count: Mutated documents.
        seed: Of the dice.
        groups: Which known ones are opened, too.
        each: Also every reference replaced by every dangerous path.
    """
    for name, program in {"plain": dspy.Predict(zoo.QA), **honest()}.items():
        data = fmt.file_bytes(extract_program_components(program))
        (folder / f"{name}.json").write_bytes(data)
    bait.PULLED.clear()
    order = {"folder": str(folder), "count": count, "seed": seed, "groups": groups}
    order["each"] = each
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.persistence.watching"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        raise AssertionError(done.stderr[-3000:])
    return json.loads(done.stdout)


def main() -> None:
    """Print what acted, what crashed, and the counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--groups", nargs="*", default=GROUPS)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        groups = tuple(options.groups)
        given = options.count, options.seed, groups
        report = fuzz(Path(folder), *given, each=options.each)
    print(*report["acts"], *report["crashes"], sep="\n")  # noqa: T201
    print(  # noqa: T201
        f"opened {report['opened']}, endings {report['endings']}, "
        f"acts {len(report['acts'])}, most cpu {report['most cpu']}, "
        f"proofs {report['proofs']}"
    )


if __name__ == "__main__":
    main()
