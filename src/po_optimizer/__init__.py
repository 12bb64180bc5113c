"""Optimizes DSPy programs with Kedro, stores them whole and measures them honestly.

The names below are the public surface; everything else may move. They are imported
when they are first used, so `import po_optimizer` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from po_optimizer.api import Optimized, Verdict, evaluate, optimize
    from po_optimizer.persistence import (
        SavedProgram,
        extract_program_components,
        get_provenance,
        load_program,
        load_program_from_components,
        load_promoted,
        save_program,
    )
    from po_optimizer.roles.score import Score

__version__ = "0.1.0"

__all__ = [
    "Optimized",
    "SavedProgram",
    "Score",
    "Verdict",
    "__version__",
    "evaluate",
    "extract_program_components",
    "get_provenance",
    "load_program",
    "load_program_from_components",
    "load_promoted",
    "optimize",
    "save_program",
]

_MODULES = {
    **dict.fromkeys(__all__, "po_optimizer.persistence"),
    **dict.fromkeys(
        ["Optimized", "Verdict", "evaluate", "optimize"], "po_optimizer.api"
    ),
    "Score": "po_optimizer.roles.score",
}


def __getattr__(name: str) -> Any:
    """A public name, from the module that holds it."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
