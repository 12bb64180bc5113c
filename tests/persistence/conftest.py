"""The zoo's programs and documents, made once for all tests of this folder."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from po_optimizer.persistence import extract_program_components
from po_optimizer.persistence import format as fmt
from tests.persistence.zoo import ZOO

ROOT = Path(__file__).parents[2]

READER = """
import json, sys
from po_optimizer.persistence.components import inspect_program
from po_optimizer.persistence.prompts import prompt_hashes
found = {}
for path in json.load(sys.stdin):
    found[path] = prompt_hashes(
        inspect_program(open(path, "rb").read(), path), whole=True
    )
assert not any(name.startswith("tests") for name in sys.modules)
print(json.dumps(found))
"""


@functools.cache
def program(name: str) -> Any:
    """A program of the zoo; tests do not change it."""
    return ZOO[name]()


@functools.cache
def document_bytes(name: str) -> bytes:
    """The stored form of a program of the zoo."""
    return fmt.file_bytes(extract_program_components(program(name)))


def document(name: str) -> dict[str, Any]:
    """The document of a program of the zoo, fresh for every test."""
    return fmt.parse(document_bytes(name), name)


@pytest.fixture(scope="session")
def fresh_prompts(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, str]]:
    """Every zoo document's prompts, rendered by a process without the zoo's module."""
    folder = tmp_path_factory.mktemp("zoo")
    paths = {}
    for i, name in enumerate(ZOO):
        path = folder / f"{i}.json"
        path.write_bytes(document_bytes(name))
        paths[name] = str(path)
    done = subprocess.run(  # noqa: S603 our own interpreter
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n{READER}",
        ],
        input=json.dumps(list(paths.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return {name: found[path] for name, path in paths.items()}
