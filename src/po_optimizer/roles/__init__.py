"""What a role is made of: its program, its metric and its record type."""

from po_optimizer.roles.build import (
    Identity,
    RecordType,
    Synchronous,
    bind_metric,
    import_object,
    load_metric,
    load_record_type,
    make_program,
)
from po_optimizer.roles.score import Score

__all__ = [
    "Identity",
    "RecordType",
    "Score",
    "Synchronous",
    "bind_metric",
    "import_object",
    "load_metric",
    "load_record_type",
    "make_program",
]
