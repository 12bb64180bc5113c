"""Rows to checked records; what cannot be used is kept with the reason."""

import pickle
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import dspy
from pydantic import BaseModel, ConfigDict, ValidationError

from po_optimizer.errors import SettingError, field_problems
from po_optimizer.records.reading import Row, read_table
from po_optimizer.roles import Identity, Record, RecordType


class RejectedRecord(BaseModel):
    """One record that is not used.

    Args:
        line: Line of the file, or number of the record; from 1.
        field: Dotted path of the wrong field; "" when the line is no record at all.
        reason: What is wrong with it.
        file: Where it stands; "" for a duplicate, whose line counts usable records.
    """

    model_config = ConfigDict(frozen=True)

    line: int
    field: str
    reason: str
    file: str = ""


@dataclass(frozen=True)
class CheckedRecords:
    """All records of a file, sorted into usable and not.

    Args:
        records: Raw dicts that the record type accepts, in the order of the file.
        rejected: The others.
        warnings: What is doubtful in a usable record, with its line.
    """

    records: list[dict[str, Any]]
    rejected: list[RejectedRecord]
    warnings: list[str] = field(default_factory=list)


def check_records(raw: Any, record_type: RecordType) -> CheckedRecords:
    """Every row of a table, checked against the record type.

    Args:
        raw: What `read_table` reads.
        record_type: Of the role.

    Raises:
        SettingError: No row holds a usable record.
    """
    table = read_table(raw)
    records: list[dict[str, Any]] = []
    rejected: list[RejectedRecord] = []
    warnings: list[str] = []
    for row in table.rows:
        wrong, reason, doubts = _check(row, record_type)
        if reason:
            place = {"line": row.line, "file": table.source}
            rejected.append(RejectedRecord(field=wrong, reason=reason, **place))
            continue
        records.append(row.value)
        if doubts:
            warnings.append(f"{table.source}, line {row.line}: {'; '.join(doubts)}")
    if not records:
        raise _none_usable(table.source, rejected)
    return CheckedRecords(records, rejected, warnings)


def _none_usable(source: str, rejected: list[RejectedRecord]) -> SettingError:
    why = ", the file is empty"
    if rejected:
        why = f"; the first: line {rejected[0].line}, {rejected[0].reason}"
    return SettingError(
        "raw_records",
        f"{len(rejected)} records",
        f"none of {source} can be used{why}",
        "Give rows with the columns that role.inputs and role.outputs name, or of the "
        "layout of role.record (data/01_raw/README.md).",
    )


def to_examples(
    records: Iterable[Mapping[str, Any]], record_type: RecordType
) -> list[dspy.Example]:
    """Checked records as examples with their inputs marked, in the same order."""
    return list(iter_examples(records, record_type))


def iter_examples(
    records: Iterable[Mapping[str, Any]], record_type: RecordType
) -> Iterator[dspy.Example]:
    """Like `to_examples`, each made when it is asked for.

    Raises:
        SettingError: A record was checked for another role.
    """
    return (_example(record, record_type) for record in records)


def iter_groups(
    records: Iterable[Mapping[str, Any]], record_type: RecordType
) -> Iterator[str | None]:
    """The group of each record, as its `identity()` says; None: it stands alone."""
    for record in records:
        yield Identity.of(_checked(record, record_type)).group


def _example(record: Mapping[str, Any], record_type: RecordType) -> dspy.Example:
    return _checked(record, record_type).to_example()


def parse_record(raw: Mapping[str, Any], record_type: RecordType) -> Record:
    """The record that a raw one is; of the last thousand, each is parsed once.

    Raises:
        pydantic.ValidationError: It cannot be used.
    """
    return _parse(cast(Hashable, record_type), pickle.dumps(raw))


@lru_cache(maxsize=1000)
def _parse(record_type: Any, raw: bytes) -> Record:
    record: Record = record_type.model_validate(pickle.loads(raw))  # noqa: S301 -- just pickled
    return record


def _checked(record: Mapping[str, Any], record_type: RecordType) -> Record:
    try:
        return parse_record(record, record_type)
    except ValidationError as error:
        raise SettingError(
            "role.record",
            record_type.__name__,
            f"the stored records are another role's ({field_problems(error)[0]})",
            "Make the splits anew: kedro run --pipeline=data_prep.",
        ) from error


def _check(row: Row, record_type: RecordType) -> tuple[str, str, tuple[str, ...]]:
    """The first wrong field, all that is wrong, and what a usable record lacks."""
    if row.problem:
        return "", row.problem, ()
    try:
        record = parse_record(row.value, record_type)
    except ValidationError as error:
        path = ".".join(str(part) for part in error.errors()[0]["loc"])
        return path, "; ".join(field_problems(error)), ()
    return "", "", getattr(record, "warnings", tuple)()
