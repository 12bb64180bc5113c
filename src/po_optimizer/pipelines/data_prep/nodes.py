"""Nodes of data_prep: check the records, split them."""

from logging import getLogger
from typing import Any

from po_optimizer.errors import SettingError
from po_optimizer.params.project import DataPrepParams, RoleParams
from po_optimizer.records.checking import CheckedRecords, check_records
from po_optimizer.records.reading import Table, read_table
from po_optimizer.records.splits import split_records
from po_optimizer.roles.record import load_record_type

logger = getLogger(__name__)

Records = list[dict[str, Any]]
_SPLITS = ("trainset", "valset", "testset")
_MOST_LINES = 10  # rejected records that are named in the log


def check_raw_records(
    raw_records: Any, role: RoleParams, data_prep: DataPrepParams
) -> tuple[Records, list[dict[str, Any]]]:
    """Usable records, and the others with file, line, field and reason."""
    if raw_records is None:
        drawn = [name for name in _SPLITS if getattr(data_prep, name) is None]
        if drawn:
            problem = f"no file is named that the {drawn[0]} could be drawn from"
            remedy = (
                "Give the role's file, or one for each of trainset, valset, testset."
            )
            raise SettingError("raw_records", None, problem, remedy)
        return [], []
    checked = check_records(raw_records, load_record_type(role))
    _warn_of(checked)
    return checked.records, [record.model_dump() for record in checked.rejected]


def _warn_of(checked: CheckedRecords) -> None:
    rejected = [
        f"{record.file}, line {record.line} is not used: {record.reason}"
        for record in checked.rejected
    ]
    for lines, what in ((rejected, "are not used"), (checked.warnings, "are doubtful")):
        for line in lines[:_MOST_LINES]:
            logger.warning("%s", line)
        if len(lines) > _MOST_LINES:
            logger.warning("%d more %s", len(lines) - _MOST_LINES, what)


def split_checked_records(
    checked_records: Records,
    rejected_records: list[dict[str, Any]],
    trainset_records: Table | None,
    valset_records: Table | None,
    testset_records: Table | None,
    role: RoleParams,
    data_prep: DataPrepParams,
) -> dict[str, Any]:
    """Disjoint splits and a report of what went where.

    A split whose records are given is made of them; the others are drawn.
    """
    record_type = load_record_type(role)
    tables = dict(
        zip(_SPLITS, (trainset_records, valset_records, testset_records), strict=True)
    )
    checked = {
        name: check_records(read_table(table, name), record_type)
        for name, table in tables.items()
        if table is not None
    }
    for split in checked.values():
        _warn_of(split)
    of_files = [record for split in checked.values() for record in split.rejected]
    given = {name: split.records for name, split in checked.items()}
    splits = split_records(checked_records, record_type, data_prep, given)
    rejected = [*rejected_records, *(record.model_dump() for record in of_files)]
    duplicates = [record.model_dump() for record in splits.rejected]
    report = {
        **splits.report,
        "n_rejected": len(rejected),
        "rejected": rejected,
        "duplicates": duplicates,
    }
    logger.info(
        "data_prep: %d usable records, %d rejected, %d duplicates; train %d, val %d, "
        "test %d, unused %d; records of two splits are at most %.3f alike",
        splits.report["n_usable"],
        len(rejected),
        len(duplicates),
        len(splits.trainset),
        len(splits.valset),
        len(splits.testset),
        splits.report["n_unused"],
        splits.report["largest_similarity"]["similarity"],
    )
    return {
        "trainset": splits.trainset,
        "valset": splits.valset,
        "testset": splits.testset,
        "data_report": report,
    }
