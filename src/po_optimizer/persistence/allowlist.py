"""What a document may cause to be imported, and the kind of thing it must be.

An import path in a document is input. A package that is not allowed is never
imported, and what a path names is checked before it is used. The standard library
is not on the list: its value types have tags of their own.
"""

import dataclasses
import enum
import importlib
import logging
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

import dspy
import pydantic

from po_optimizer.errors import UnsafeArtifactError

logger = logging.getLogger(__name__)

DATA_PACKAGES = ("dspy", "pydantic", "annotated_types")
"""Packages whose models and modules are always allowed, their functions never."""

DEFAULT_ALLOWED = (*DATA_PACKAGES, "po_optimizer")

DSPY_CODE = ("dspy.primitives.python_interpreter:PythonInterpreter",)
"""Code of DSPy that its own modules keep in attributes by default."""


def _is_a(base: type) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, type) and issubclass(found, base)


KINDS: dict[str, Callable[[Any], bool]] = {
    "module": _is_a(dspy.Module),
    "model": _is_a(pydantic.BaseModel),
    "enum": _is_a(enum.Enum),
    "namedtuple": lambda found: _is_a(tuple)(found) and hasattr(found, "_fields"),
    "dataclass": lambda found: (
        isinstance(found, type) and dataclasses.is_dataclass(found)
    ),
    "typeddict": lambda found: (
        isinstance(found, type) and hasattr(found, "__required_keys__")
    ),
    "newtype": lambda found: isinstance(found, typing.NewType),
    "function": lambda found: isinstance(found, types.FunctionType),
}


def import_path(found: Any) -> str:
    """`package.module:Qualified.name` of a class or function."""
    return f"{found.__module__}:{found.__qualname__}"


class Imports:
    """Finds what a document names, within the allowed packages.

    Args:
        allowed: Packages, or dotted prefixes of modules, that may be imported.
        known: Things that are at hand already, by path; these are not imported.
    """

    def __init__(
        self, allowed: Iterable[str], known: dict[str, Any] | None = None
    ) -> None:
        self.allowed = frozenset(allowed)
        self.known = known or {}
        self.refused: dict[str, str] = {}

    def find(self, path: str, kind: str) -> Any | None:
        """The thing at `path`, or None when it is not allowed or not there.

        Raises:
            UnsafeArtifactError: It is there and is not of that kind.
        """
        if path in self.known:
            return self.known[path]
        if not self._allows(path, kind):
            self.refused[path] = "not in allowed_packages"
            return None
        try:
            found = _walk(path)
        except (ImportError, AttributeError, ValueError) as error:
            self.refused[path] = f"import failed ({error})"
            return None
        if kind == "function" and path in DSPY_CODE:
            return found
        if not KINDS[kind](found) or import_path(found) != path:
            raise UnsafeArtifactError(path, kind, f"a {type(found).__name__}")
        return found

    def _allows(self, path: str, kind: str) -> bool:
        if kind == "function" and path in DSPY_CODE:
            return True
        module, _, name = path.partition(":")
        if not name or "<" in name:
            return False
        parts = module.split(".")
        if kind == "function" and parts[0] in DATA_PACKAGES:
            return False
        prefixes = (".".join(parts[: i + 1]) for i in range(len(parts)))
        return any(prefix in self.allowed for prefix in prefixes)


def _walk(path: str) -> Any:
    module, _, names = path.partition(":")
    found: Any = importlib.import_module(module)
    for name in names.split("."):
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(found, name)
    return found
