"""The document's format: its version, its bounds, and how bytes become a document.

To raise the version: add 1 to `FORMAT_VERSION`, put a function that turns a document
of the old version into one of the new into `UPGRADES`, and keep a file saved by the
old version in tests/persistence/frozen. Every version ever released stays readable.
"""

import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from po_optimizer.errors import ArtifactError, DamagedArtifactError
from po_optimizer.files import Folder, LocalFolder

FORMAT = "po_optimizer.program"
FORMAT_VERSION = 3
CHAMPION = "champion.json"  # beside reports: which stored program is promoted

MAX_BYTES = 256 * 2**20
MAX_DEPTH = 200  # orjson writes 254 levels; a value adds up to two of its own
MAX_NODES = 5_000_000
MAX_TYPES = 2_000

Document = dict[str, Any]
WHOLE = "whole_prompts"  # up to version 2 the fingerprint rendered every demo

_SHAPE: dict[str, type] = {
    **{"made_with": dict, "provenance": dict, "fingerprint": dict, "program": dict},
    **{"types": dict, "not_stored": list, "n_predictors": int, "n_demos": int},
}
_VERSION_1_DEFAULTS: dict[str, Any] = {
    **{"_compiled": False, "callbacks": [], "lm": None, "traces": [], "train": []},
    **{"demos": [], "config": {}},
}


def _from_version_1(document: Document) -> Document:
    """Version 1 left out what a predictor had by default, and described no LM."""
    arguments = {"known": {}, "unknown": ["of version 1"], "types": {}}
    document = {**document, "format_version": 2, "arguments": arguments}
    parts: list[Any] = [document["program"]]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts.extend(part)
        elif isinstance(part, dict):
            parts.extend(part.values())
            _upgrade_node(part)
    return document


def _upgrade_node(node: dict[str, Any]) -> None:
    tag, state = node.get("$"), node.get("state")
    is_signed = isinstance(state, dict) and "signature" in state
    if tag == "module" and is_signed and is_predictor(node):
        for name, default in _VERSION_1_DEFAULTS.items():
            node["state"].setdefault(name, default)
    if tag == "missing" and node.get("kind") == "lm":
        node.update({"$": "lm", "class": node.get("what"), "model": "of version 1"})
        node["left_out"] = ["model"]


def is_predictor(module: dict[str, Any]) -> bool:
    """True if a module's node is a `dspy.Predict` or of a subclass of it."""
    is_dspys = module.get("class") == "dspy.predict.predict:Predict"
    return is_dspys or bool(module.get("predictor"))


UPGRADES: dict[int, Callable[[Document], Document]] = {
    1: _from_version_1,
    2: lambda document: {**document, "format_version": 3, WHOLE: True},
}


def dump(document: Any) -> bytes:
    """A document or a part of it as compact JSON, in its own order."""
    data: bytes = orjson.dumps(document)
    return data


def lasting(document: Document) -> dict[str, bytes]:
    """The parts of a document, the same whenever the same program is made anew.

    Left out are its digest and the ids that DSPy draws for new predictors, and names
    stand in one order.
    """
    return {
        name: orjson.dumps(_without_ids(part), option=orjson.OPT_SORT_KEYS)
        for name, part in document.items()
        if name != "digest"
    }


def _without_ids(node: Any, owner: Any = None) -> Any:
    if isinstance(node, list):
        return [_without_ids(item) for item in node]
    if not isinstance(node, dict):
        return node
    drawn = {"stage"} if owner == "module" and "signature" in node else set()
    tag = node.get("$")
    return {k: _without_ids(v, tag) for k, v in node.items() if k not in drawn}


def copy_of(node: Document) -> Document:
    """A deep copy of JSON-ready data; a TypeError if it is not."""
    copied: Document = orjson.loads(dump(node))
    return copied


def sha256(data: bytes) -> str:
    """The hex digest by which artifacts are named and checked."""
    return hashlib.sha256(data).hexdigest()


def seal(document: Document) -> Document:
    """The document with the digest of everything in it."""
    return _sealed(document)[0]


def sealed_bytes(document: Document) -> tuple[Document, bytes]:
    """The sealed document, and its file: a line for each top-level key."""
    sealed, parts = _sealed(document)
    pieces = [b"{\n"]
    for key, value in (*parts, (b'"digest"', dump(sealed["digest"]))):
        pieces += [key, b": ", value, b",\n"]
    return sealed, b"".join([*pieces[:-1], b"\n}\n"])


def file_bytes(document: Document) -> bytes:
    """The file of a document."""
    return sealed_bytes(document)[1]


def _sealed(document: Document) -> tuple[Document, list[tuple[bytes, bytes]]]:
    content = {key: value for key, value in document.items() if key != "digest"}
    parts = [(dump(k), dump(v)) for k, v in content.items()]
    whole = hashlib.sha256()
    for number, (key, value) in enumerate(parts):
        whole.update((b"," if number else b"{") + key + b":")
        whole.update(value)
    whole.update(b"}")
    return {**content, "digest": whole.hexdigest()}, parts


def read(folder: Folder, name: str) -> Document:
    """The document under that name; see `parse`.

    Raises:
        DamagedArtifactError: There is none, or it is not what was saved.
        ArtifactError: It cannot be read, or whether it is there not be seen.
    """
    where = folder.address(name)
    try:
        data = folder.read(name, MAX_BYTES)
    except OSError as error:
        problem = (error.strerror or str(error)).rstrip(".")
        raise ArtifactError(
            f"path={where!r} cannot be read: {problem}. That is not the same as "
            "nothing being stored: give access to it, or correct the path."
        ) from error
    if data is None:
        raise DamagedArtifactError(where, "there is no such file")
    return parse(data, where)


def newest(path: Path) -> Path:
    """A document's path: the folder of a versioned one stands for its newest version.

    Raises:
        DamagedArtifactError: No version is in the folder.
    """
    if path.is_dir():
        versions = path.glob(f"*/{path.name}") if path.suffix else path.glob("*.json")
        path = max(versions, default=path)
    if path.is_dir():
        raise DamagedArtifactError(str(path), "no version of a program is in it")
    return path


def read_local(path: str | Path) -> Document:
    """The document at a local path; see `read`."""
    path = Path(path).expanduser()
    return read(LocalFolder(path.parent), path.name)


def parse(data: bytes, path: str) -> Document:
    """The document in `data`, of the current version, its digest checked.

    Raises:
        DamagedArtifactError: It is too large, no JSON, no program, or was altered.
        ArtifactError: A later version of this package wrote it.
    """
    if len(data) > MAX_BYTES:
        raise DamagedArtifactError(path, f"{len(data)} bytes, over {MAX_BYTES}")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_members)
    except (ValueError, RecursionError) as error:
        problem = f"{len(data)} bytes that cannot be read as JSON ({error!s:.200})"
        raise DamagedArtifactError(path, problem) from error
    return check(document, path)


def _members(pairs: list[tuple[str, Any]]) -> Document:
    """An object of JSON; no reader may see another one of two values of a key."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return members


def check(document: Document, path: str) -> Document:
    """The document itself, of the current version, once its digest is right."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        problem = f"its format is not {FORMAT!r}"
        if isinstance(document, dict) and "dependency_versions" in str(
            document.get("metadata")
        ):
            problem += " but DSPy's own, which program.load(path) reads"
        raise DamagedArtifactError(path, problem)
    version = document.get("format_version")
    if type(version) is not int or version < 1:
        raise DamagedArtifactError(path, f"format_version={version!r}")
    if version > FORMAT_VERSION:
        raise ArtifactError(
            f"path={path!r} has format_version={version!r}; this version reads up to "
            f"{FORMAT_VERSION}. Upgrade the package that reads it: "
            "pip install -U po-optimizer"
        )
    try:
        intact = seal(document)["digest"] == document.get("digest")
    except TypeError as error:  # a dict that was never JSON
        raise DamagedArtifactError(path, str(error)) from error
    if not intact:
        raise DamagedArtifactError(path, "its digest does not match its content")
    _check_shape(document, path)
    for step in range(version, FORMAT_VERSION):
        document = UPGRADES[step](document)
    arguments = document.get("arguments")
    if not isinstance(arguments, dict) or not {"known", "unknown"} <= arguments.keys():
        raise DamagedArtifactError(path, "its 'arguments' are no arguments")
    return document


def _check_shape(document: Document, path: str) -> None:
    for key, kind in _SHAPE.items():
        if not isinstance(document.get(key), kind):
            raise DamagedArtifactError(path, f"its {key!r} is no {kind.__name__}")
    texts = [*document["fingerprint"].values(), *document["made_with"].values()]
    if not all(isinstance(text, str) for text in texts):
        raise DamagedArtifactError(path, "its fingerprint or versions are no texts")
    if not isinstance(document.get("snapshot", {}), dict):
        raise DamagedArtifactError(path, "its 'snapshot' is no object")


def versions() -> dict[str, str]:
    """What decides how a program renders and unpickles, by name and version."""
    packages = {name: _version(name) for name in ("dspy", "pydantic")}
    return {"python": ".".join(platform.python_version_tuple()[:2]), **packages}


_version = functools.cache(importlib.metadata.version)  # which reads files
