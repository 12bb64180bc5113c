"""DSPy programs stored without loss, loadable for years, safe to open."""

from po_optimizer.persistence.components import (
    attach_provenance,
    extract_program_components,
    get_provenance,
    load_program_from_components,
)
from po_optimizer.persistence.store import SavedProgram, load_program, save_program

__all__ = [
    "SavedProgram",
    "attach_provenance",
    "extract_program_components",
    "get_provenance",
    "load_program",
    "load_program_from_components",
    "save_program",
]
