"""The pinned requirements: hashes of known files, and no address."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from hash_requirements import merged, pins, read, written  # noqa: E402

A, B = "a" * 64, "b" * 64
TEXT = (ROOT / "requirements.txt").read_text()


def entry(name, version, sha256):
    """One of pip's report."""
    archive = {"hashes": {"sha256": sha256}}
    info = {"url": "https://index/x.whl", "archive_info": archive}
    return {"metadata": {"name": name, "version": version}, "download_info": info}


def test_report_becomes_pins_without_addresses():
    """What pip was told to take from here, the project itself, is left out."""
    local = {"metadata": {"name": "x", "version": "1"}, "download_info": {"url": "f"}}
    text = written(pins([entry("Some_Name", "1.0", A), local]))
    assert f"some-name==1.0 \\\n    --hash=sha256:{A}\n" in text
    assert "://" not in text
    assert read(text) == {"some-name": ("1.0", {A})}


def test_hashes_of_several_pythons_add_up():
    """Those of another version do not."""
    old = {"same": ("1", {A}), "changed": ("1", {A})}
    new = {"same": ("1", {B}), "changed": ("2", {B})}
    assert merged(old, new) == {"same": ("1", {A, B}), "changed": ("2", {B})}


def test_every_pin_has_a_hash_and_agrees_with_the_constraints():
    """The file in the repository is this script's, and up to date."""
    requirements = read(TEXT)
    assert written(requirements) == TEXT
    assert "://" not in TEXT
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    constraints = {
        re.sub(r"[-_.]+", "-", name.lower()): version.partition(";")[0].strip()
        for name, _, version in (line.partition("==") for line in lines)
    }
    names = {re.sub(r"[-_.]+", "-", name) for name in requirements}
    assert {"dspy", "kedro", "litellm", "xllamacpp"} <= names
    for name, (version, hashes) in requirements.items():
        assert hashes
        known = constraints.get(re.sub(r"[-_.]+", "-", name), version)
        assert known == version
