"""`po-optimizer import-traces`: what a program did in use becomes records."""

import csv
import json

import pytest
from click.testing import CliRunner

from po_optimizer.__main__ import group
from po_optimizer.integrations.traces import fields_of

SPANS = [
    {
        "traceId": "a1",
        "spanId": "2",
        "parentSpanId": "1",
        "startTimeUnixNano": "2",
        "attributes": [
            {"key": "input.value", "value": {"stringValue": "the prompt"}},
            {"key": "output.value", "value": {"stringValue": "the LM's text"}},
        ],
    },
    {
        "traceId": "a1",
        "spanId": "1",
        "startTimeUnixNano": "1",
        "attributes": [
            {"key": "input.value", "value": {"stringValue": '{"question": "Q1"}'}},
            {"key": "output.value", "value": {"stringValue": '{"answer": "A1"}'}},
        ],
    },
]
OTLP = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": SPANS}]}]}) + "\n"
LANGFUSE = json.dumps(
    [
        {
            "id": "t1",
            "timestamp": "2026-11-01T10:00:00Z",
            "input": {"args": [], "kwargs": {"question": "Q1"}},
            "output": {"answer": "A1"},
        },
        {"id": "t2", "input": {"kwargs": {"question": "Q1"}}, "output": "other"},
        {"id": "t3", "input": "Q3", "output": ["x", "y"]},
        {"id": "t4", "input": None, "output": None},
    ]
)


def imported(folder, text, origin):
    """The records that the command writes, and what it says."""
    source = folder / "export.json"
    source.write_text(text)
    arguments = [str(source), "--from", origin, "--inputs", "question"]
    places = ["--to", str(folder / "records.jsonl"), "--review", str(folder / "r.csv")]
    done = CliRunner().invoke(
        group, ["import-traces", *arguments, "--outputs", "answer", *places]
    )
    assert done.exit_code == 0, done.output
    names = ("records.jsonl", "records.pending.jsonl")
    lines = "".join((folder / name).read_text() for name in names).splitlines()
    return [json.loads(line) for line in lines], done.output


def test_outermost_span_is_the_program(tmp_path):
    """An OTLP file's inner spans are the LM's: the root's values are taken."""
    records, _ = imported(tmp_path, OTLP, "otlp")
    assert records == [
        {
            "question": "Q1",
            "answer": None,
            "answered": {"answer": "A1"},
            "origin": {"source": "otlp", "trace": "a1", "time": "1"},
        }
    ]


def test_same_inputs_are_one_record_and_what_lacks_is_counted(tmp_path):
    """Langfuse's keyword arguments and bare texts are read; one trace has no input."""
    records, said = imported(tmp_path, LANGFUSE, "langfuse")
    assert [r["question"] for r in records] == ["Q1", "Q3"]
    assert records[0]["origin"]["time"] == "2026-11-01T10:00:00Z"
    assert "1 traces left out: question not in their inputs" in said
    assert "records.jsonl: 0 records" in said
    assert "records.pending.jsonl: 2 records" in said


def test_only_what_a_person_approves_is_a_reference(tmp_path):
    """The table's yes, and its corrections, come into the records."""
    imported(tmp_path, LANGFUSE, "langfuse")
    table = tmp_path / "r.csv"
    rows = list(csv.DictReader(table.open()))
    assert [row["answer"] for row in rows] == ["A1", '["x", "y"]']
    rows[0] |= {"approved": "Yes", "answer": "corrected"}
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    records, said = imported(tmp_path, LANGFUSE, "langfuse")
    assert [r["answer"] for r in records] == ["corrected", None]
    assert "records.jsonl: 1 records" in said
    assert csv.DictReader(table.open()).fieldnames == list(rows[0])


@pytest.mark.parametrize("text", ["{", '{"id": 1}\n{'])
def test_broken_export_is_one_sentence(tmp_path, text):
    """File and line are named."""
    source = tmp_path / "export.json"
    source.write_text(text)
    arguments = [str(source), "--from", "langfuse", "--inputs", "q", "--outputs", "a"]
    done = CliRunner().invoke(
        group,
        ["import-traces", *arguments, "--to", str(tmp_path / "r"), "--review", "c.csv"],
    )
    assert done.exit_code == 1
    assert "export.json, line" in done.output


def test_missing_file_is_one_sentence(tmp_path):
    """So is a file that is not there."""
    arguments = ["nothing.json", "--from", "otlp", "--inputs", "q", "--outputs", "a"]
    done = CliRunner().invoke(
        group, ["import-traces", *arguments, "--to", "r", "--review", "c"]
    )
    assert done.exit_code == 1
    assert "SOURCE='nothing.json' cannot be read" in done.output


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}),
        ('{"kwargs": {"a": 1, "b": 2}}', {"a": 1, "b": 2}),
        ({"args": [{"a": 1, "b": 2}]}, {"a": 1, "b": 2}),
        ({"a": 1}, None),
        ("a text", None),
        (None, None),
    ],
)
def test_fields_are_found_where_tools_put_them(payload, fields):
    """Directly, or below the names of arguments; not if one is missing."""
    assert fields_of(payload, ["a", "b"]) == fields
