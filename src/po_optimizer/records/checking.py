"""Rows to checked records; what cannot be used is kept with the reason."""

import pickle
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import dspy
from pydantic import ValidationError

from po_optimizer.errors import SettingError, field_problems
from po_optimizer.params.base import Frozen
from po_optimizer.records.reading import read_table
from po_optimizer.roles.record import Identity, Record, RecordType


class RejectedRecord(Frozen):
    """One record that is not used.

    Args:
        line: Line of the file, or number of the record; from 1.
        field: Dotted path of the wrong field; "" when the line is no record at all.
        reason: What is wrong with it.
        file: Where it stands; "" for a duplicate, whose line counts usable records.
    """

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
    checked = CheckedRecords([], [])
    for row in table.rows:
        path, reason, doubts = "", row.problem, list[str]()
        try:
            if not reason:
                record = parse_record(row.value, record_type)
                doubts = getattr(record, "warnings", list)()
        except ValidationError as error:
            path = ".".join(str(part) for part in error.errors()[0]["loc"])
            reason = "; ".join(field_problems(error))
        if reason:
            place = {"line": row.line, "file": table.source}
            checked.rejected.append(RejectedRecord(field=path, reason=reason, **place))
            continue
        checked.records.append(row.value)
        if doubts:
            warning = f"{table.source}, line {row.line}: {'; '.join(doubts)}"
            checked.warnings.append(warning)
    if not checked.records:
        raise _none_usable(table.source, checked.rejected)
    return checked


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
    """Like `to_examples`, one example at a time.

    Raises:
        SettingError: A record was checked for another role.
    """
    return (record.to_example() for record in _parsed(records, record_type))


def iter_groups(
    records: Iterable[Mapping[str, Any]], record_type: RecordType
) -> Iterator[str | None]:
    """The group of each record, as its `identity()` says; None: it stands alone."""
    return (Identity.of(record).group for record in _parsed(records, record_type))


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


def _parsed(
    records: Iterable[Mapping[str, Any]], record_type: RecordType
) -> Iterator[Record]:
    for record in records:
        try:
            yield parse_record(record, record_type)
        except ValidationError as error:
            raise SettingError(
                "role.record",
                record_type.__name__,
                f"the stored records are another role's ({field_problems(error)[0]})",
                "Make the splits anew: kedro run --pipeline=data_prep.",
            ) from error
