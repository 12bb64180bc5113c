"""From raw records to disjoint, balanced splits."""

from po_optimizer.records.checking import (
    CheckedRecords,
    RejectedRecord,
    check_records,
    iter_examples,
    iter_groups,
    to_examples,
)
from po_optimizer.records.reading import Row, Table, read_table
from po_optimizer.records.splits import Splits, data_hash, records_hash, split_records

__all__ = [
    "CheckedRecords",
    "RejectedRecord",
    "Row",
    "Splits",
    "Table",
    "check_records",
    "data_hash",
    "iter_examples",
    "iter_groups",
    "read_table",
    "records_hash",
    "split_records",
    "to_examples",
]
