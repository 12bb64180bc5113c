"""Raw JSONL text to checked records; what cannot be used is kept with the reason."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dspy
from pydantic import BaseModel, ConfigDict, ValidationError

from po_optimizer.errors import SettingError, field_problems
from po_optimizer.roles import Identity, RecordType


class RejectedRecord(BaseModel):
    """One record that is not used.

    Args:
        line: Line of the file, from 1.
        field: Dotted path of the wrong field; "" when the line is no record at all.
        reason: What is wrong with it.
    """

    model_config = ConfigDict(frozen=True)

    line: int
    field: str
    reason: str


@dataclass(frozen=True)
class CheckedRecords:
    """All records of a file, sorted into usable and not.

    Args:
        records: Raw dicts that the record type accepts, in the order of the file.
        rejected: The others.
    """

    records: list[dict[str, Any]]
    rejected: list[RejectedRecord]


def check_records(text: str, record_type: type[RecordType]) -> CheckedRecords:
    """Every line of a JSONL text, checked against the record type.

    Raises:
        SettingError: No line holds a usable record.
    """
    records: list[dict[str, Any]] = []
    rejected: list[RejectedRecord] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        problem = _problem(line, number, record_type)
        if problem is None:
            records.append(json.loads(line))
        else:
            rejected.append(problem)
    if not records:
        raise _none_usable(rejected)
    return CheckedRecords(records, rejected)


def _none_usable(rejected: list[RejectedRecord]) -> SettingError:
    why = ", the file is empty"
    if rejected:
        why = f"; the first: line {rejected[0].line}, {rejected[0].reason}"
    return SettingError(
        "raw_records",
        f"{len(rejected)} records",
        f"none can be used{why}",
        "Give a JSON Lines file of the layout in data/01_raw/README.md.",
    )


def to_examples(
    records: Iterable[Mapping[str, Any]], record_type: type[RecordType]
) -> list[dspy.Example]:
    """Checked records as examples with their inputs marked, in the same order."""
    return list(iter_examples(records, record_type))


def iter_examples(
    records: Iterable[Mapping[str, Any]], record_type: type[RecordType]
) -> Iterator[dspy.Example]:
    """Like `to_examples`, each made when it is asked for.

    Raises:
        SettingError: A record was checked for another role.
    """
    return (_example(record, record_type) for record in records)


def iter_groups(
    records: Iterable[Mapping[str, Any]], record_type: type[RecordType]
) -> Iterator[str | None]:
    """The group of each record, as its `identity()` says; None: it stands alone."""
    for record in records:
        yield Identity.of(_checked(record, record_type).identity()).group


def _example(record: Mapping[str, Any], record_type: type[RecordType]) -> dspy.Example:
    return _checked(record, record_type).to_example()


def _checked(record: Mapping[str, Any], record_type: type[RecordType]) -> RecordType:
    try:
        return record_type.model_validate(record)
    except ValidationError as error:
        raise SettingError(
            "role.record",
            record_type.__name__,
            f"the stored records are another role's ({field_problems(error)[0]})",
            "Make the splits anew: kedro run --pipeline=data_prep.",
        ) from error


def _problem(
    line: str, number: int, record_type: type[RecordType]
) -> RejectedRecord | None:
    try:
        raw = json.loads(line)
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at column {error.colno}"
        return RejectedRecord(line=number, field="", reason=reason)
    except (ValueError, RecursionError) as error:  # huge numbers, deep nesting
        return RejectedRecord(line=number, field="", reason=f"not JSON: {error}")
    try:
        record_type.model_validate(raw)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        reason = "; ".join(field_problems(error))
        return RejectedRecord(line=number, field=field, reason=reason)
    return None
