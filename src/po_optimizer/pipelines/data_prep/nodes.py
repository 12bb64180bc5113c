"""Nodes of data_prep: check the records, split them."""

from logging import getLogger
from typing import Any

from po_optimizer.params import DataPrepParams, RoleParams
from po_optimizer.records import check_records, split_records
from po_optimizer.roles import load_record_type

logger = getLogger(__name__)

Records = list[dict[str, Any]]


def check_raw_records(
    raw_records: str, role: RoleParams
) -> tuple[Records, list[dict[str, Any]]]:
    """Usable records, and the others with line, field and reason."""
    checked = check_records(raw_records, load_record_type(role))
    return checked.records, [record.model_dump() for record in checked.rejected]


def split_checked_records(
    checked_records: Records,
    rejected_records: list[dict[str, Any]],
    role: RoleParams,
    data_prep: DataPrepParams,
) -> dict[str, Any]:
    """Disjoint splits and a report of what went where."""
    splits = split_records(checked_records, load_record_type(role), data_prep)
    duplicates = [record.model_dump() for record in splits.rejected]
    report = {
        **splits.report,
        "n_rejected": len(rejected_records),
        "rejected": rejected_records,
        "duplicates": duplicates,
    }
    logger.info(
        "data_prep: %d usable records, %d rejected, %d duplicates; train %d, val %d, "
        "test %d; at most %.3f alike across splits",
        splits.report["n_usable"],
        len(rejected_records),
        len(duplicates),
        len(splits.trainset),
        len(splits.valset),
        len(splits.testset),
        splits.report["largest_similarity"]["similarity"],
    )
    return {
        "trainset": splits.trainset,
        "valset": splits.valset,
        "testset": splits.testset,
        "data_report": report,
    }
