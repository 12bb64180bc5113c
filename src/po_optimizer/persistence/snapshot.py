"""The optional dill snapshot: the program with its code, for the same versions.

Plain dill fails on every optimized program, because `with_instructions` makes
signature classes that no import finds. Here they are pickled by value. LMs, secrets
and the search history are left out, as in the document.
"""

import io
import operator
import pickle
import re
import threading
import types
from pathlib import PurePosixPath
from typing import Any

import dill
import dspy
import pydantic

from po_optimizer.errors import refusal
from po_optimizer.files import Folder
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.held_lms import describe_lm
from po_optimizer.persistence.codec.imports import Imports
from po_optimizer.persistence.codec.modules import PROVENANCE, is_search_history
from po_optimizer.persistence.codec.signatures import class_variables, rebuild_signature
from po_optimizer.persistence.codec.type_table import encode_class, kind_of
from po_optimizer.persistence.codec.values import (
    FAILURES,
    Decoder,
    Encoder,
    NotStored,
    is_secret,
)
from po_optimizer.persistence.prompts import prompt_hashes

MAX_BYTES = 2**31
CANNOT_PICKLE = (*FAILURES, pickle.PickleError, ImportError, EOFError)
_ANNOTATIONS = "__annotate_func__"  # which Python 3.14 gives every class


class ProgramPickler(dill.Pickler):
    """A dill pickler that rebuilds signature classes by value, and holds no secret."""

    def reducer_override(self, obj: Any) -> Any:
        """How to rebuild what dill cannot or must not pickle."""
        if isinstance(obj, type):
            return _reduce_class(obj)
        if isinstance(obj, dspy.BaseLM):
            return _rebuild, (describe_lm(obj), {})
        if isinstance(obj, pydantic.SecretStr | pydantic.SecretBytes):
            return NotStored, ("snapshot", "secret", type(obj).__name__)
        if isinstance(obj, dspy.Module):
            return _reduce_module(obj)
        if isinstance(obj, dspy.Example):
            return NotImplemented
        if isinstance(obj, threading.Thread):  # unpickled, it would be waited for
            msg = "it works with a thread of its own"
            raise pickle.PicklingError(msg)
        _refuse_secrets(obj)
        return NotImplemented


def _refuse_secrets(obj: Any) -> None:
    """Refuses what keeps a secret under its name: attributes, keys, closures."""
    if isinstance(obj, types.FunctionType):
        cells = [cell.cell_contents for cell in obj.__closure__ or ()]
        members = dict(zip(obj.__code__.co_freevars, cells, strict=True))
    else:
        members = obj if type(obj) is dict else getattr(obj, "__dict__", {})
    if isinstance(obj, NotStored | types.ModuleType):
        return
    for name, value in dict(members).items():
        if is_secret(name, value) and not isinstance(value, types.FunctionType):
            msg = f"{type(obj).__name__} holds a secret, {name}"
            raise pickle.PicklingError(msg)


def _reduce_class(kind: Any) -> Any:
    """Classes that no import finds: signatures, generics, DSPy's, local ones."""
    if issubclass(kind, dspy.Signature) and kind is not dspy.Signature:
        fields = {n: (f.annotation, f) for n, f in kind.model_fields.items()}
        parts = kind.__name__, kind.__doc__, fields, class_variables(kind)
        return rebuild_signature, parts
    generic = getattr(kind, "__pydantic_generic_metadata__", None)
    if generic and generic["origin"]:
        return operator.getitem, (generic["origin"], generic["args"])
    of_dspy = "[" in kind.__name__ or dspy.Code in kind.__bases__
    local = "<locals>" in kind.__qualname__ and kind_of(kind) in ("model", "enum")
    members = {n: item for n, item in vars(kind).items() if n != _ANNOTATIONS}
    acts = local and any(_is_code_of(kind, item) for item in members.values())
    if acts or not (local or of_dspy):
        return NotImplemented
    encoder = Encoder()
    type_id = encode_class(encoder, kind, kind.__name__)
    return _rebuild, ({"$": "class", "id": type_id}, encoder.types)


def _is_code_of(kind: type, item: Any) -> bool:
    module = getattr(getattr(item, "fget", item), "__module__", None)
    return module == kind.__module__ and not isinstance(item, kind)


def _rebuild(node: dict[str, Any], types: dict[str, Any]) -> Any:
    return Decoder(Imports(()), types).decode(node)


def _reduce_module(module: Any) -> Any:
    state = {
        name: _without_secrets(name, value, module)
        for name, value in module.__getstate__().items()
        if not is_search_history(name, value)
    }
    return module.__class__.__new__, (module.__class__,), state


def _without_secrets(name: str, value: Any, module: Any) -> Any:
    if is_secret(name, value):
        return NotStored(name, "secret", type(value).__name__)
    if name == "config" and isinstance(module, dspy.Predict):
        return {key: _without_secrets(key, item, None) for key, item in value.items()}
    return value


def dumps(program: dspy.Module) -> bytes:
    """The snapshot's bytes; raises one of `CANNOT_PICKLE` when there can be none."""
    buffer = io.BytesIO()
    ProgramPickler(buffer, recurse=True).dump(program)
    return buffer.getvalue()


def loads(data: bytes) -> Any:
    """The program of a snapshot. Unpickling runs code: only for bytes you trust."""
    return dill.loads(data)  # noqa: S301 in the mode load only


class UnusableSnapshotError(Exception):
    """Why a snapshot cannot be used; the document is used instead."""


def describe(stem: str, data: bytes | str) -> dict[str, Any]:
    """What a document of that name says of its snapshot, or of why there is none."""
    if isinstance(data, str):
        return {"missing": data}
    digest = fmt.sha256(data)
    return {
        "file": f"{stem}-{digest[:16]}.dill",
        "sha256": digest,
        "size": len(data),
        "made_with": _versions(),
    }


def load(folder: Folder, document: fmt.Document) -> Any:
    """The program of a document's snapshot.

    Raises:
        UnusableSnapshotError: There is none, or it is not that of the document.
    """
    data = _checked_bytes(folder, document.get("snapshot") or {})
    try:
        program = loads(data)
    except CANNOT_PICKLE as error:
        raise UnusableSnapshotError(f"{type(error).__name__}: {error}") from error
    prompts = prompt_hashes(program, whole=fmt.WHOLE in document)
    if prompts != document["fingerprint"]:
        raise UnusableSnapshotError("it renders other prompts than the document")
    if document.get("provenance"):
        vars(program)[PROVENANCE] = document["provenance"]
    return program


def _checked_bytes(folder: Folder, entry: dict[str, Any]) -> bytes:
    """The bytes that the document's entry promises, judged before one is unpickled."""
    name = entry.get("file")
    if name is None or "missing" in entry:
        reason = entry.get("missing", "it was saved without")
        raise UnusableSnapshotError(f"none was stored ({reason})")
    is_plain = isinstance(name, str) and _PLAIN_NAME.fullmatch(name)
    try:
        data = folder.read(name, MAX_BYTES) if is_plain else None
    except OSError as error:
        raise UnusableSnapshotError(refusal(error)) from error
    if data is None:
        raise UnusableSnapshotError(f"{name} is not there")
    if fmt.sha256(data) != entry["sha256"]:
        raise UnusableSnapshotError(f"{name} was altered")
    if entry["made_with"] != _versions():
        problem = f"made with {entry['made_with']}, this is {_versions()}"
        raise UnusableSnapshotError(problem)
    return data


_PLAIN_NAME = re.compile(r"[^./\\\0][^/\\\0]*\.dill")  # it never leads elsewhere


def _versions() -> dict[str, str]:
    return {**fmt.versions(), "dill": dill.__version__}


def unnamed(folder: Folder, name: str, names: list[str]) -> list[str]:
    """Snapshots that we wrote and no document in the folder refers to.

    Ours are named by the hash of their content: a file of another origin is none.
    """
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    pattern = re.compile(re.escape(stem) + r"-([0-9a-f]{16})\.dill")
    snapshots = {n: match[1] for n in names if (match := pattern.fullmatch(n))}
    for document in (n for n in names if n.endswith(suffix) and n not in snapshots):
        if not snapshots:
            return []
        try:
            data = folder.read(document, fmt.MAX_BYTES) or b""
        except IsADirectoryError:
            continue
        except OSError:
            return []  # it may name them
        snapshots = {n: d for n, d in snapshots.items() if n.encode() not in data}
    return [
        file_name
        for file_name, digest in snapshots.items()
        if fmt.sha256(folder.read(file_name, MAX_BYTES) or b"").startswith(digest)
    ]
