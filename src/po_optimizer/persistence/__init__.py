"""DSPy programs stored without loss, loadable for years, safe to open."""

from typing import TYPE_CHECKING

from po_optimizer.lazy import lazy

if TYPE_CHECKING:
    from po_optimizer.persistence.components import (
        attach_provenance,
        describe_missing,
        extract_program_components,
        get_provenance,
        load_program_from_components,
        missing_parts,
    )
    from po_optimizer.persistence.promoted import load_promoted
    from po_optimizer.persistence.scripted_call import compare_calls
    from po_optimizer.persistence.store import SavedProgram, load_program, save_program

__all__ = [
    "SavedProgram",
    "attach_provenance",
    "compare_calls",
    "describe_missing",
    "extract_program_components",
    "get_provenance",
    "load_program",
    "load_program_from_components",
    "load_promoted",
    "missing_parts",
    "save_program",
]

__getattr__ = lazy(
    __name__,
    {
        "components": "attach_provenance describe_missing "
        "extract_program_components get_provenance "
        "load_program_from_components missing_parts",
        "promoted": "load_promoted",
        "scripted_call": "compare_calls",
        "store": "SavedProgram load_program save_program",
    },
)
