"""The rows of any table: of a file, or of what a dataset of the catalog gives."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from po_optimizer.errors import PoOptimizerError, listed

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""Kinds of files that are told by their ending; any other is read as JSON Lines."""

_MAX_CELL = 2**31 - 1  # characters; Python's own limit of 131,072 is below a document


@dataclass(frozen=True)
class Row:
    """One raw record.

    Args:
        line: Line of the file, or number of the record; from 1.
        value: The record, JSON-ready; with a problem as it stands, None if it cannot be
            read at all.
        problem: Why it cannot be used; "" if it can.
    """

    line: int
    value: Any
    problem: str = ""


@dataclass(frozen=True)
class Table:
    """Rows, and what they are called in a message.

    Args:
        source: The file, or the catalog entry.
        rows: In their order.
    """

    source: str
    rows: Sequence[Row]


def read_table(raw: Any, source: str = "raw_records") -> Table:
    """The rows of what a dataset gives.

    Args:
        raw: A Table, the text of a JSON Lines file, a data frame, or anything that
            gives rows as mappings or examples.
        source: What messages call it.
    """
    if isinstance(raw, Table):
        return raw
    if isinstance(raw, str):
        return Table(source, list(_lines(raw)))
    return Table(source, rows_of(frame_records(raw)))


def frame_records(table: Any) -> Any:
    """A data frame's rows as mappings, missing cells as None; all else as it is.

    Raises:
        PoOptimizerError: Two columns have one name.
    """
    if hasattr(table, "to_dicts"):  # polars'
        return table.to_dicts()
    if hasattr(table, "to_dict") and hasattr(table, "columns"):  # pandas'
        _check_columns(map(str, table.columns))
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        return [{k: _python_value(v) for k, v in row.items()} for row in rows]
    return table


def without_pandas(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that pandas' `to_dict("records")` gave, as Python has them.

    Timestamps of pandas are no data that a program could be stored with.
    """
    return {
        name: _python_value(cell)
        if type(cell).__module__.startswith("pandas")
        else cell
        for name, cell in row.items()
    }


def _python_value(cell: Any) -> Any:
    """A timestamp or an array of a data frame as Python has it; missing is None."""
    if type(cell).__name__ in ("NaTType", "NAType"):
        return None
    for conversion in ("to_pydatetime", "to_pytimedelta", "tolist"):
        if hasattr(cell, conversion):
            return getattr(cell, conversion)()
    return cell


def rows_of(values: Iterable[Any]) -> list[Row]:
    """Values of any type as numbered rows; an example is the mapping of its fields."""
    return [_row(number, value) for number, value in enumerate(values, start=1)]


def parse_file(name: str, data: bytes) -> list[Row]:
    """The rows of a file, whose ending says of what kind it is.

    Raises:
        PoOptimizerError: Parquet, without the package that reads it; or two columns
            have one name.
        ValueError: It is no file of that kind, or no text in UTF-8.
    """
    ending = name.lower().rpartition(".")[2]
    if ending == "parquet":
        return rows_of(_pyarrow().parquet.read_table(io.BytesIO(data)).to_pylist())
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from error
    if ending in ("csv", "tsv"):
        return list(_cells(text, "," if ending == "csv" else "\t"))
    if ending == "json":
        return _array(text)
    return list(_lines(text))


def parse_arrow(files: Iterable[bytes]) -> list[Row]:
    """The rows of Arrow streams, as Hugging Face's `save_to_disk` writes them.

    Raises:
        PoOptimizerError: The package that reads them is missing.
    """
    read = _pyarrow().ipc.open_stream
    tables = [read(io.BytesIO(data)).read_all() for data in files]
    return rows_of(record for table in tables for record in table.to_pylist())


def _pyarrow() -> Any:
    try:
        import pyarrow.ipc  # noqa: PLC0415 -- only for those who have such files
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        problem = "Parquet and Arrow files need the package pyarrow, which is missing. "
        raise PoOptimizerError(f"{problem}Install it: pip install pyarrow") from error
    return pyarrow


def _lines(text: str) -> Iterator[Row]:
    """JSON Lines; a line separator within a string is text."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield _row(number, json.loads(line))
        except json.JSONDecodeError as error:
            yield Row(number, None, f"not JSON: {error.msg} at column {error.colno}")
        except (ValueError, RecursionError) as error:  # huge numbers, deep nesting
            yield Row(number, None, f"not JSON: {error}")


def _array(text: str) -> list[Row]:
    """A JSON array of records; JSON Lines under the wrong name are read as such."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return list(_lines(text))
    return rows_of(values if isinstance(values, list) else [values])


def _cells(text: str, delimiter: str) -> Iterator[Row]:
    """A table with a header; every cell is text, as it stands.

    A header without the delimiter has that of a spreadsheet of another country.
    """
    csv.field_size_limit(_MAX_CELL)
    marks = [delimiter, *";\t|,"]
    header = text.partition("\n")[0]
    delimiter = next((mark for mark in marks if mark in header), delimiter)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    _check_columns(reader.fieldnames or ())
    for cells in reader:
        if None in cells or None in cells.values():
            than = f"cells than the header, which has {len(reader.fieldnames or ())}"
            problem = f"it has {'more' if None in cells else 'fewer'} {than}"
            yield Row(reader.line_num, None, problem)
        else:
            yield Row(reader.line_num, dict(cells))


def _check_columns(names: Iterable[str]) -> None:
    counts = Counter(names)
    if twice := [name for name, n in counts.items() if n > 1]:
        problem = f"the table has more than one column {listed(map(repr, twice))}"
        raise PoOptimizerError(f"{problem}. Rename or remove all but one.")


def _row(number: int, value: Any) -> Row:
    """A value of any type as JSON holds it; NaN and infinities as null."""
    if hasattr(value, "toDict"):
        value = dict(value.items())
    if isinstance(value, Mapping):
        value = {str(key): item for key, item in value.items()}
    try:
        data = to_json(value, fallback=_unknown, inf_nan_mode="null")
        return Row(number, from_json(data))
    except (ValueError, RecursionError) as error:  # of half a character, of a cycle
        reason = str(error).removeprefix("Error serializing to JSON: ")
        return Row(number, value, f"UTF-8 cannot hold it: {reason}")


def _unknown(value: Any) -> Any:
    """Numpy's numbers and arrays as Python's; of anything else the text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
