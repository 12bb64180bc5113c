"""Writes requirements.txt: what the project runs on, pinned, with hashes, no addresses.

`python scripts/hash_requirements.py` adds the files that pip chooses in the Python that
runs it; one whose dependencies have other versions (3.10, 3.13) has no place here.
A version that changed loses its old hashes. To install
nothing else: `pip install --require-hashes --no-deps -r requirements.txt`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "requirements.txt"
_HEAD = (
    "# Made by scripts/hash_requirements.py from constraints.txt; do not edit.\n"
    "# Python 3.11 and 3.12 on Linux, x86-64.\n"
)

Pins = dict[str, tuple[str, set[str]]]
"""Name -> version and the sha256 of its files."""


def chosen() -> list[dict[str, Any]]:
    """What pip would install here, from its own report; nothing is installed."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet"]
    command += ["--ignore-installed", "--report", "-"]
    command += [
        "--constraint",
        str(ROOT / "constraints.txt"),
        f"{ROOT}[viz,embedded,dask,hub,vertex]",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    report: dict[str, Any] = json.loads(done.stdout)
    return list(report["install"])


def pins(install: list[dict[str, Any]]) -> Pins:
    """Of a report's entries, all but the project itself."""
    return {
        entry["metadata"]["name"].lower().replace("_", "-"): (
            entry["metadata"]["version"],
            {entry["download_info"]["archive_info"]["hashes"]["sha256"]},
        )
        for entry in install
        if "archive_info" in entry["download_info"]
    }


def read(text: str) -> Pins:
    """The pins of a file that this script wrote."""
    entries = re.findall(r"^(\S+)==(\S+)((?: \\\n    --hash=\S+)+)", text, re.MULTILINE)
    return {
        name: (version, set(re.findall(r"sha256:([0-9a-f]{64})", hashes)))
        for name, version, hashes in entries
    }


def merged(old: Pins, new: Pins) -> Pins:
    """The new pins, with the old ones' hashes where the version is the same."""
    both = dict(old)
    for name, (version, hashes) in new.items():
        same = name in old and old[name][0] == version
        both[name] = (version, hashes | old[name][1] if same else hashes)
    return both


def written(requirements: Pins) -> str:
    """As pip reads it."""
    lines = [
        " \\\n    ".join(
            [f"{name}=={version}", *(f"--hash=sha256:{one}" for one in sorted(hashes))]
        )
        for name, (version, hashes) in sorted(requirements.items())
    ]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    earlier = read(TARGET.read_text()) if TARGET.exists() else {}
    TARGET.write_text(written(merged(earlier, pins(chosen()))))
