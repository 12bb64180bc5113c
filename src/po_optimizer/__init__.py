"""Optimizes DSPy programs with Kedro, stores them whole and measures them honestly.

The names below are the public surface; everything else may move. They are imported
when they are first used, so `import po_optimizer` costs nothing.
"""

from typing import TYPE_CHECKING

from po_optimizer.lazy import defer, lazy

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

# where JupyterLab is installed, DSPy's jsonschema imports it: a second for its grammar
defer("rfc3987_syntax", "is_valid_syntax")

__getattr__ = lazy(
    __name__,
    {
        "api": "Optimized Verdict evaluate optimize",
        "persistence.components": "extract_program_components get_provenance "
        "load_program_from_components",
        "persistence.promoted": "load_promoted",
        "persistence.store": "SavedProgram load_program save_program",
        "roles.score": "Score",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
