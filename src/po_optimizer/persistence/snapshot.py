"""The optional dill snapshot: the program with its code, for the same versions.

Plain dill fails on every optimized program, because `with_instructions` makes
signature classes that no import finds. Here they are pickled by value. LMs, secrets
and the search history are left out, as in the document.
"""

import io
import operator
import pickle
import threading
import types
from typing import Any

import dill
import dspy
import pydantic

from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.classes import decode_class, encode_class, kind_of
from po_optimizer.persistence.codec.held_lms import describe_lm
from po_optimizer.persistence.codec.imports import Imports
from po_optimizer.persistence.codec.modules import SEARCH_HISTORY
from po_optimizer.persistence.codec.signatures import class_variables, rebuild_signature
from po_optimizer.persistence.codec.values import Decoder, Encoder, NotStored, is_secret

MAX_BYTES = 2**31
CANNOT_PICKLE = (
    *(pickle.PicklingError, TypeError, AttributeError, ValueError, LookupError),
    *(RecursionError, RuntimeError, OSError, ImportError, AssertionError),
)
CANNOT_UNPICKLE = (
    *(pickle.UnpicklingError, EOFError, ImportError, TypeError, AttributeError),
    *(ValueError, LookupError, RecursionError, RuntimeError, OSError, NameError),
    *(SyntaxError, ArithmeticError, AssertionError),
)


class ProgramPickler(dill.Pickler):
    """A dill pickler that rebuilds signature classes by value, and holds no secret."""

    def reducer_override(self, obj: Any) -> Any:
        """How what dill cannot or must not pickle is rebuilt; else dill's own way.

        Raises:
            PicklingError: The object holds a secret, or is a thread.
        """
        if isinstance(obj, type):
            return _reduce_class(obj)
        if isinstance(obj, dspy.BaseLM):
            return _rebuild_lm, (describe_lm(obj),)
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
    """Refuses what keeps a secret under its name: attributes, keys, closures.

    Raises:
        PicklingError: It does.
    """
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


def _rebuild_lm(node: dict[str, Any]) -> Any:
    decoder = Decoder(Imports(()), {})
    return decoder.decode(node)


def _reduce_class(found: Any) -> Any:
    """Classes that no import finds: signatures, generics, dspy.Code, local ones."""
    if issubclass(found, dspy.Signature) and found is not dspy.Signature:
        fields = {n: (f.annotation, f) for n, f in found.model_fields.items()}
        parts = found.__name__, found.__doc__, fields, class_variables(found)
        return rebuild_signature, parts
    generic = getattr(found, "__pydantic_generic_metadata__", None)
    if generic and generic["origin"]:
        return operator.getitem, (generic["origin"], generic["args"])
    if dspy.Code in found.__bases__:
        return operator.getitem, (dspy.Code, found.language)
    local = "<locals>" in found.__qualname__ and kind_of(found) in ("model", "enum")
    if not local or any(_is_code_of(found, item) for item in vars(found).values()):
        return NotImplemented
    encoder = Encoder()
    type_id = encode_class(encoder, found, found.__name__)
    return _rebuild_class, (type_id, encoder.types)


def _is_code_of(found: type, item: Any) -> bool:
    module = getattr(getattr(item, "fget", item), "__module__", None)
    return module == found.__module__ and not isinstance(item, found)


def _rebuild_class(type_id: str, table: dict[str, Any]) -> Any:
    return decode_class(Decoder(Imports(()), table), type_id)


def _reduce_module(module: Any) -> Any:
    state = {
        name: _without_secrets(name, value, module)
        for name, value in module.__getstate__().items()
        if name not in SEARCH_HISTORY
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


class _Unpickler(dill.Unpickler):
    """Finds what earlier snapshots name where it lay when they were made."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of that name."""
        return super().find_class(_MOVED.get(module, module), name)


_MOVED = {
    f"po_optimizer.persistence.{before}": f"po_optimizer.persistence.codec.{now}"
    for before, now in (
        *(("values", "values"), ("signatures", "signatures"), ("classes", "classes")),
        *(("fields", "fields"), ("held_lms", "held_lms"), ("programs", "modules")),
    )
}


def loads(data: bytes) -> Any:
    """The program of a snapshot. Unpickling runs code: only for bytes you trust."""
    return _Unpickler(io.BytesIO(data)).load()


def entry(stem: str, data: bytes) -> dict[str, Any]:
    """What the document says about its snapshot: its file's name is its hash."""
    digest = fmt.sha256(data)
    return {
        "file": f"{stem}-{digest[:16]}.dill",
        "sha256": digest,
        "size": len(data),
        "made_with": {**fmt.versions(), "dill": dill.__version__},
    }


def problem_of(entry_: dict[str, Any], data: bytes | None) -> str | None:
    """Why a snapshot cannot be used, judged before a byte of it is unpickled."""
    if "missing" in entry_:
        return f"none was stored ({entry_['missing']})"
    if data is None:
        return f"{entry_['file']} is not there"
    if fmt.sha256(data) != entry_["sha256"]:
        return f"{entry_['file']} was altered"
    made, here = entry_["made_with"], {**fmt.versions(), "dill": dill.__version__}
    return None if made == here else f"made with {made}, this is {here}"
