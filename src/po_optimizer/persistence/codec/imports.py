"""What a document may cause to be imported, and the kind of thing it must be.

A document names data, never behavior. Of DSPy and pydantic only the names below are
looked up; of a package that the caller allows only classes that hold data or are
modules, checked before they are used. Functions are never imported.
"""

import dataclasses
import enum
import importlib
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import dspy
import dspy.experimental
import pydantic
from dspy.adapters.baml_adapter import BAMLAdapter
from dspy.predict.avatar import Avatar

from po_optimizer.errors import ArtifactError, SettingError

DATA_PACKAGES = ("dspy", "pydantic", "pydantic_core", "annotated_types")
"""Packages that a document may name by exact name only, whatever the caller allows."""

DEFAULT_ALLOWED = ("po_optimizer.product_owner",)


def import_path(item: Any) -> str:
    """`package.module:Qualified.name` of a class or function."""
    return f"{item.__module__}:{item.__qualname__}"


def class_reference(item: Any) -> str:
    """The import path if it leads back to this class, else one that leads nowhere.

    It leads to another class if the module has defined the name again since.
    """
    home: Any = sys.modules.get(item.__module__)
    if not isinstance(item, type):  # a NewType
        return import_path(item)
    for name in item.__qualname__.split("."):
        home = vars(home).get(name) if hasattr(home, "__dict__") else None
    if home is item or home is None or "<locals>" in item.__qualname__:
        return import_path(item)
    return f"{item.__module__}:<unbound>.{item.__qualname__}"


_DSPY_MODULES = (
    *("Module", "Predict", "ChainOfThought", "ReAct", "ReActV2", "CodeAct", "RLM"),
    *("ProgramOfThought", "BestOfN", "Refine", "MultiChainComparison", "SemanticF1"),
    "CompleteAndGrounded",
)
DECISIONS = ("Choice", "Noul", "Score")
"""DSPy's types of decisions: `Choice[("billing", "about money"), ...]` is one, too."""
_DSPY_TYPES = (
    *("Audio", "Citations", "Code", "Document", "File", "History", "Image"),
    *("Reasoning", "Tool", "ToolCalls", "ToolCallResults", "Type"),
    *DECISIONS,
)
_DSPY_OBJECTS = (
    *("ChatAdapter", "JSONAdapter", "XMLAdapter", "TwoStepAdapter", "Retrieve"),
)


def _is_a(base: type) -> Callable[[Any], bool]:
    return lambda item: isinstance(item, type) and issubclass(item, base)


def _by_path(names: Iterable[str], *others: type) -> dict[str, type]:
    """Classes of DSPy, those within them, and others; a version may lack one."""
    homes = (dspy, dspy.evaluate, dspy.experimental)
    outer = [
        getattr(home, name) for home in homes for name in names if hasattr(home, name)
    ]
    inner = [i for o in outer for i in vars(o).values() if _is_a(pydantic.BaseModel)(i)]
    return {import_path(item): item for item in (*outer, *inner, *others)}


EXACT: dict[str, dict[str, type]] = {
    "module": _by_path(_DSPY_MODULES, Avatar),
    "model": _by_path(_DSPY_TYPES, pydantic.BaseModel),
    "object": _by_path(_DSPY_OBJECTS, BAMLAdapter),
    "code": _by_path(["PythonInterpreter"]),
}
"""The classes of DSPy and pydantic that a document may name, by kind and path."""


KINDS: dict[str, Callable[[Any], bool]] = {
    "module": _is_a(dspy.Module),
    "model": _is_a(pydantic.BaseModel),
    "enum": _is_a(enum.Enum),
    "namedtuple": lambda item: _is_a(tuple)(item) and hasattr(item, "_fields"),
    "dataclass": lambda item: isinstance(item, type) and dataclasses.is_dataclass(item),
    "typeddict": lambda item: (
        isinstance(item, type) and hasattr(item, "__required_keys__")
    ),
}
"""What may be imported of a package that the caller allows, by kind."""


class Imports:
    """Finds the classes that a document names.

    Args:
        allowed: Packages or dotted prefixes of modules, whose data classes and
            modules may be imported; or exact names, `package.module:Class`, whose
            constructor may be called with the recorded arguments, too.
        at_hand: Classes by path that the caller holds already.

    Raises:
        SettingError: `allowed` is one text instead of a list of them.
    """

    def __init__(
        self, allowed: Iterable[str], at_hand: dict[str, Any] | None = None
    ) -> None:
        if isinstance(allowed, str):
            raise SettingError(
                "allowed_packages", allowed, "it is one text", "Give a list: [name]."
            )
        allowed = frozenset(allowed)
        self.constructors = frozenset(name for name in allowed if ":" in name)
        self.packages = allowed - self.constructors
        self.at_hand = at_hand or {}
        self._by_name = {path.partition(":")[2]: c for path, c in self.at_hand.items()}
        self.refused: dict[str, str] = {}

    def find(self, path: str, kind: str) -> Any | None:
        """The class at `path`, or None when it is not allowed or not there."""
        if path in EXACT.get(kind, {}):
            return EXACT[kind][path]
        given = self.own_class(path)
        if given is not None and KINDS[kind](given):
            return given
        if kind not in KINDS or not self._allows(path):
            self.refused[path] = "not in allowed_packages"
            return None
        try:
            item = _walk(path)
        except Exception as error:  # noqa: BLE001 a module may fail in any way
            self.refused[path] = f"import failed ({type(error).__name__}: {error})"
            return None
        is_kind = isinstance(item, type) and KINDS[kind](item)
        if not is_kind or import_path(item) != path:
            raise ArtifactError(
                f"the document names {path!r} as a {kind}, but it is a "
                f"{type(item).__name__}. Nothing was called. Do not load documents of "
                "unknown origin; save the program again."
            )
        return item

    def own_class(self, path: str) -> Any | None:
        """The class of the caller's own program; its module may have moved since."""
        return self.at_hand.get(path) or self._by_name.get(path.partition(":")[2])

    def _allows(self, path: str) -> bool:
        module, _, name = path.partition(":")
        parts = module.split(".")
        if not name or "<" in name or parts[0] in DATA_PACKAGES:
            return False
        if path in self.constructors:
            return True
        prefixes = (".".join(parts[: i + 1]) for i in range(len(parts)))
        return any(prefix in self.packages for prefix in prefixes)


def _walk(path: str) -> Any:
    """What the path names, by plain attributes: no descriptor, no `__getattr__`."""
    module, _, names = path.partition(":")
    item: Any = importlib.import_module(module)
    for name in names.split("."):
        inside = isinstance(item, type | types.ModuleType) and name in vars(item)
        if name.startswith("__") or not inside:
            raise AttributeError(name)
        item = vars(item)[name]
    return item
