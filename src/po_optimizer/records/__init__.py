"""From raw records to disjoint, balanced splits."""

from po_optimizer.records.checking import (
    CheckedRecords,
    RejectedRecord,
    check_records,
    iter_examples,
    iter_groups,
    to_examples,
)
from po_optimizer.records.splits import Splits, data_hash, records_hash, split_records

__all__ = [
    "CheckedRecords",
    "RejectedRecord",
    "Splits",
    "check_records",
    "data_hash",
    "iter_examples",
    "iter_groups",
    "records_hash",
    "split_records",
    "to_examples",
]
