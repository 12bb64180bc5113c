"""What becomes of ordinary programs: a table, `python -m tests.persistence.survival`.

Each is saved, then loaded in a fresh process: with its module importable and without,
with a donor and without. A loaded program that is asked the same must make the same
requests and give the same outputs, or refuse and say why.
"""

import argparse
import collections
import concurrent.futures
import difflib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = "tests.persistence.ordinary"
INIT = str(Path(__file__).parent / "ordinary" / "__init__.py")

WITH_MODULE = ("exact", "package", "package, donor", "again, donor")
WITHOUT_MODULE = ("stranger", "stranger, donor")
COLUMNS = (*WITH_MODULE, *WITHOUT_MODULE)

SAME_IN = {
    "data": {"save", *COLUMNS},
    "class": {"save", *COLUMNS} - {"stranger"},
    "donor": {"save", *(column for column in COLUMNS if "donor" in column)},
    "donor at once": {"save", "package, donor", "stranger, donor"},
    "more": set(),
}
"""By what a program needs, the columns in which it must be the same."""

Table = dict[str, dict[str, str]]


def run(order: dict[str, Any]) -> dict[str, Any]:
    """What a fresh process makes of the order."""
    order = {"only": "", "verify": "inline", "columns": None, **order}
    kept = ("PATH", "HOME", "TMPDIR", "DSPY_CACHEDIR")
    done = subprocess.run(  # noqa: S603 our own interpreter
        [sys.executable, "-I", str(Path(__file__).parent / "asking.py")],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        env={k: os.environ[k] for k in kept if k in os.environ},
    )
    if done.returncode:
        raise AssertionError(done.stderr[-3000:])
    return json.loads(done.stdout)


def survey(folder: Path, only: str = "", verify: str = "inline") -> Table:
    """The table: for each program and column, what became of it."""
    src = str(ROOT / "src")
    common = {"folder": str(folder), "only": only, "verify": verify}
    here = {**common, "package": PACKAGE, "sys_path": [src, str(ROOT)]}
    away = {**common, "package": "moved", "sys_path": [src], "move": INIT}
    written = run(here)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        readings = pool.map(
            run,
            [{**here, "columns": WITH_MODULE}, {**away, "columns": WITHOUT_MODULE}],
        )
        read = [dict(reading) for reading in readings]
    return {
        name: {"save": _saving(original)}
        | {
            column: judge(original, found)
            for part in read
            for column, found in part.get(name, {}).items()
        }
        for name, original in written.items()
    }


def _saving(original: dict[str, Any]) -> str:
    if original["saved"]:
        return _ended(original["saved"])
    if original["leaks"]:
        return f"DIFFERENT: a secret is in {original['leaks']}"
    return "same" if original["stays"] else "DIFFERENT: saving changed it"


def _ended(found: dict[str, Any]) -> str:
    why = " ".join(found["why"].split())
    return f"{found['status']} at {found['step']}: {why:.300}"


def judge(original: dict[str, Any], found: dict[str, Any]) -> str:
    """What became of a program: same, refused, warned, crash or DIFFERENT."""
    if found.get("why") and found["why"] == original["expected"].get("why"):
        return "same"  # it fails in the same way
    if found["status"] != "answered":
        return _ended(found)
    expected = original["expected"]
    if "status" in expected:
        return f"DIFFERENT: answers where the original fails: {expected['why']}"
    if all(found[part] == expected.get(part) for part in ("requests", "outputs")):
        return "same"
    change = _first_change(expected, found)
    if found["warnings"]:
        return f"warned: {found['warnings'][0]:.160} | {change}"
    return f"DIFFERENT: {change}"


def _first_change(expected: dict[str, Any], found: dict[str, Any]) -> str:
    texts = [
        json.dumps(
            {k: x.get(k) for k in ("requests", "outputs")}, indent=1, ensure_ascii=False
        ).splitlines()
        for x in (expected, found)
    ]
    lines = list(difflib.unified_diff(*texts, lineterm="", n=0))[2:]
    changed = [line for line in lines if line[:1] in "+-"]
    return " / ".join(line.strip()[:240] for line in changed[:3])


def problems(table: Table, needs: dict[str, str]) -> list[str]:
    """The rows of a table that no program may have."""
    return [
        f"{name} [{column}]: {ending}"
        for name, row in table.items()
        for column, ending in row.items()
        if ending.startswith(("DIFFERENT", "crash"))
        or (ending != "same" and column in SAME_IN[needs[name]])
    ]


def needs_of_all() -> dict[str, str]:
    """What each program needs to be the same."""
    from tests.persistence.asking import cases_of  # noqa: PLC0415

    return {name: case.needs for name, (_, case) in cases_of(PACKAGE).items()}


def main() -> None:
    """Print the table, then the rows that no program may have."""
    parser = argparse.ArgumentParser()
    parser.add_argument("only", nargs="?", default="")
    parser.add_argument("--verify", default="inline")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = survey(Path(folder), options.only, options.verify)
    for name, row in table.items():
        print(name)  # noqa: T201 a table
        for column, ending in row.items():
            print(f"    {column:16} {ending}")  # noqa: T201
    counts = collections.Counter(
        (column, ending.partition(" ")[0].strip(":"))
        for row in table.values()
        for column, ending in row.items()
    )
    wrong = problems(table, needs_of_all())
    print(f"\n{len(table)} programs", *sorted(counts.items()), sep="\n")  # noqa: T201
    print(f"\n{len(wrong)} problems", *wrong, sep="\n")  # noqa: T201


if __name__ == "__main__":
    main()
