"""What a role is made of: its program, its metric and its record type."""

from po_optimizer.roles.build import (
    Synchronous,
    import_object,
    load_metric,
    make_program,
)
from po_optimizer.roles.record import (
    Columns,
    Identity,
    Record,
    RecordType,
    input_columns,
    input_names,
    load_record_type,
    stratum_of,
)
from po_optimizer.roles.score import Score

__all__ = [
    "Columns",
    "Identity",
    "Record",
    "RecordType",
    "Score",
    "Synchronous",
    "import_object",
    "input_columns",
    "input_names",
    "load_metric",
    "load_record_type",
    "make_program",
    "stratum_of",
]
