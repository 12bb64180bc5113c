"""Rows of every usual kind of table come out the same, with their line."""

import io
import json
from decimal import Decimal

import dspy
import numpy as np
import pandas as pd
import pytest

from po_optimizer.errors import PoOptimizerError
from po_optimizer.records.reading import parse_file, read_table, rows_of

RECORDS = [{"question": "one, two", "n": 1}, {"question": "\u00e9\u2028", "n": None}]
LINES = "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS)


def parquet():
    """The records as a Parquet file."""
    buffer = io.BytesIO()
    pd.DataFrame(RECORDS).astype({"n": "Int64"}).to_parquet(buffer)
    return buffer.getvalue()


FILES = {
    "records.jsonl": LINES.encode(),
    "mark.jsonl": LINES.encode("utf-8-sig"),
    "unknown.txt": LINES.encode(),
    "records.json": json.dumps(RECORDS).encode(),
    "lines.json": LINES.encode(),
    "RECORDS.PARQUET": parquet(),
}


@pytest.mark.parametrize("name", FILES)
def test_file_is_read_by_its_ending(name):
    """JSON Lines, an array, Parquet; a byte order mark costs no record."""
    rows = parse_file(name, FILES[name])
    assert [row.value for row in rows] == RECORDS
    assert [row.line for row in rows] == [1, 2]


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.tsv", "\t")])
def test_cells_are_text_as_they_stand(name, delimiter):
    """Quotes, line breaks in a cell, leading zeros; the line is that of the file."""
    text = f'id{delimiter}text\r\n007{delimiter}"a\nb"\r\n8{delimiter}\r\n'
    rows = parse_file(name, text.encode("utf-8-sig"))
    assert [row.value for row in rows] == [
        {"id": "007", "text": "a\nb"},
        {"id": "8", "text": ""},
    ]
    assert [row.line for row in rows] == [3, 4]


def test_row_of_another_length_is_told():
    """Neither a cell too many nor one too few is guessed at."""
    rows = parse_file("a.csv", b"a,b\n1\n1,2\n1,2,3\n")
    assert [row.problem.split()[2] for row in rows if row.problem] == ["fewer", "more"]
    assert rows[1].value == {"a": "1", "b": "2"}


class Frame:
    """Gives its rows as polars' data frames do."""

    columns = ("question", "n")

    def to_dicts(self):
        """The rows."""
        return RECORDS


@pytest.mark.parametrize(
    "raw",
    [
        LINES,
        RECORDS,
        iter(RECORDS),
        pd.DataFrame(RECORDS).astype({"n": "Int64"}),
        Frame(),
        [dspy.Example(**record).with_inputs("question") for record in RECORDS],
    ],
    ids=["text", "list", "iterator", "data frame", "polars", "examples"],
)
def test_whatever_a_dataset_gives_is_rows(raw):
    """A catalog entry of any other package serves, too."""
    assert [row.value for row in read_table(raw).rows] == RECORDS


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_record_is_what_json_holds_in_every_kind_of_file(name):
    """No number is null; half a character is a reason; the rest is read."""
    text = '{"a": NaN, "b": [Infinity, 1e999]}\n{"a": "\\ud800"}\n{"a": "\\u00e9"}'
    text = text if name == "a.jsonl" else f"[{text}]".replace("\n", ",\n")
    rows = parse_file(name, text.encode())
    values = [{"a": None, "b": [None, None]}, {"a": "\u00e9"}]
    assert [row.value for row in rows if not row.problem] == values
    assert "surrogates not allowed" in rows[1].problem


def test_two_columns_of_one_name_are_an_error():
    """One of them would be lost without a word."""
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    with pytest.raises(PoOptimizerError, match="more than one column 'a'"):
        read_table(frame)
    with pytest.raises(PoOptimizerError, match="more than one column 'a'"):
        parse_file("x.csv", b"a,b,a\n1,2,3\n")


def test_values_become_what_json_holds():
    """Numpy's numbers, dates, decimals and what is no number."""
    (row,) = rows_of(
        [
            {
                "a": np.float32(0.5),
                "b": np.arange(2),
                "c": Decimal("1.5"),
                "d": float("nan"),
                "e": pd.Timestamp("2026-01-02"),
                5: object,
            }
        ]
    )
    assert {**row.value, "5": None} == {
        "a": 0.5,
        "b": [0, 1],
        "c": "1.5",
        "d": None,
        "e": "2026-01-02T00:00:00",
        "5": None,
    }


@pytest.mark.parametrize(
    ("name", "mark"), [("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", ",")]
)
def test_another_separator_is_read(name, mark):
    """A table from a spreadsheet of another country has the same columns."""
    (row,) = parse_file(name, f"a{mark}b\n1{mark}2\n".encode())
    assert row.value == {"a": "1", "b": "2"}
