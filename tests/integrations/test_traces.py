"""`po-optimizer import-traces`: what a program did in use becomes records."""

import csv
import json

import pytest
from click.testing import CliRunner

from po_optimizer.__main__ import group
from po_optimizer.integrations.traces.command import fields_of

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
    assert "left out, without the inputs question: 1" in said
    assert "records.jsonl: 0 records" in said
    assert "records.pending.jsonl: 2 records" in said


def test_runs_of_langsmith_are_records(tmp_path):
    """Its names differ, it wraps a text, and what a run called within is none."""
    runs = [
        {"id": "1", "start_time": "t", "inputs": {"input": "Q1"}},
        {"id": "2", "inputs": {"question": "Q2"}, "outputs": {"output": {"answer": 1}}},
        {"id": "3", "inputs": {"question": "Q3"}, "parent_run_id": "1"},
    ]
    runs[0]["outputs"] = {"output": "A1"}
    records, _ = imported(tmp_path, "\n".join(map(json.dumps, runs)), "langsmith")
    asked = [
        (r["question"], r["answered"]["answer"], r["origin"]["time"]) for r in records
    ]
    assert asked == [("Q1", "A1", "t"), ("Q2", 1, "")]


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


def test_approved_without_an_output_is_counted(tmp_path):
    """An empty reference may be right, and may be an answer that was not read."""
    imported(tmp_path, LANGFUSE, "langfuse")
    table = tmp_path / "r.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "approved": "yes", "answer": ""} for row in rows)
    _, said = imported(tmp_path, LANGFUSE, "langfuse")
    assert "approved with an empty output, which is its reference: 2" in said


def test_later_traces_come_into_the_same_table(tmp_path):
    """What was approved stays, also if the same inputs have another trace now."""
    imported(tmp_path, LANGFUSE, "langfuse")
    table = tmp_path / "r.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], "yes" + lines[1], *lines[2:]]))
    later = [
        {"id": "t9", "input": {"question": "Q1"}, "output": "another"},
        {"id": "t9", "input": {"question": "Q4"}, "output": "\ud800"},
    ]
    text = json.dumps([*later, *json.loads(LANGFUSE)])
    records, _ = imported(tmp_path, text, "langfuse")
    assert [(r["question"], r["answer"]) for r in records] == [
        *(("Q1", "A1"), ("Q4", None), ("Q3", None))
    ]
    assert [row["question"] for row in csv.DictReader(table.open())] == [
        *("Q1", "Q3", "Q4")
    ]


def told(folder, text, origin, *more, review=None):
    """The one sentence that the command ends with."""
    source, table = folder / "export.json", folder / "r.csv"
    source.write_text(text)
    if review is not None:
        table.write_text(review)
    options = ["--to", str(folder / "r.jsonl"), "--review", str(table), *more]
    names = [] if more else ["--inputs", "question", "--outputs", "answer"]
    arguments = ["import-traces", str(source), "--from", origin, *options, *names]
    done = CliRunner().invoke(group, arguments)
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output
    return done.output


ATTRIBUTES = [None, "x", [{}], [{"key": "input.value", "value": None}]]


@pytest.mark.parametrize(
    ("origin", "document"),
    [
        *(("langfuse", [1, "x", None, {"data": part}]) for part in (None, {}, ["x"])),
        *(("otlp", {"resourceSpans": part}) for part in (None, {}, ["x"])),
        *(
            (
                "otlp",
                {"resourceSpans": [{"scopeSpans": [{"spans": [{**SPANS[0], **p}]}]}]},
            )
            for p in [
                {"startTimeUnixNano": "soon"},
                *({"attributes": a} for a in ATTRIBUTES),
            ]
        ),
        ("otlp", json.loads(LANGFUSE)),
    ],
)
def test_what_holds_no_such_trace_is_one_sentence(tmp_path, origin, document):
    """Whatever is missing in it, or of another form."""
    said = told(
        tmp_path, json.dumps(document), origin, "--inputs", "q,r", "--outputs", "a"
    )
    assert "none has the inputs q, r" in said
    assert not (tmp_path / "r.jsonl").exists()


def test_values_of_otlp_may_be_nested(tmp_path):
    """A list of keys and values is a mapping, an array a list, a number no text."""
    values = [{"stringValue": "Q1"}, {"intValue": "-7"}, {"intValue": "x"}]
    texts = {"arrayValue": {"values": values}}
    pair = {"key": "question", "value": texts}
    given = {"key": "input.value", "value": {"kvlistValue": {"values": [pair]}}}
    span = {**SPANS[1], "attributes": [given, SPANS[1]["attributes"][1]]}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    (record,), _ = imported(tmp_path, json.dumps(document), "otlp")
    assert record["question"] == ["Q1", -7, "x"]


@pytest.mark.parametrize(
    ("inputs", "outputs"), [("", "a"), ("q", " ,"), ("q,q", "a"), ("origin", "a")]
)
def test_names_are_checked_before_anything_is_read(tmp_path, inputs, outputs):
    """Each once, and none that a record has anyway."""
    said = told(tmp_path, LANGFUSE, "otlp", "--inputs", inputs, "--outputs", outputs)
    assert "every name once, none of answered, approved, origin, record" in said


@pytest.mark.parametrize(
    ("review", "problem"),
    [
        ("x,y\n1,2\n", "no column approved, record, question, answer; there are x, y"),
        ("approved,record,answer\n,r1,A\n", "no column question; there are"),
        ("approved,record,answer\nyes\n", "line 2: it has fewer cells"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, review, problem):
    """No yes is passed over in silence."""
    assert problem in told(tmp_path, LANGFUSE, "langfuse", review=review)


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
