"""Examples from what people have in Python."""

import json
import os
import subprocess
import sys
from datetime import datetime
from hashlib import sha256

import dspy
import numpy as np
import pandas as pd
import pytest

from po_optimizer.errors import SettingError
from po_optimizer.records.in_memory import (
    check_no_demo,
    check_unseen,
    examples_of,
    input_hashes,
    input_names,
    make_splits,
    note_seen,
)
from po_optimizer.roles.build import Synchronous


class Asking(dspy.Module):
    """A program whose forward names its inputs."""

    def forward(self, question: str, top: int = 3) -> None:
        """Never called here."""


class Awaited(dspy.Module):
    """A program that is awaited."""

    async def aforward(self, question: str) -> None:
        """Never called here."""


class Anything(dspy.Module):
    """A program whose forward takes anything, for two predictors."""

    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("a -> b")
        self.second = dspy.Predict("b -> c")

    def forward(self, **inputs: str) -> None:
        """Never called here."""


ROWS = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(6)]


@pytest.mark.parametrize(
    ("program", "names"),
    [
        (Asking(), ["question", "top"]),
        (dspy.Predict("context, question -> answer"), ["context", "question"]),
        (dspy.ChainOfThought("question -> answer"), ["question"]),
        (Synchronous(Awaited()), ["question"]),
        (Anything(), []),
    ],
)
def test_inputs_are_what_a_program_is_called_with(program, names):
    """A forward's arguments, or the inputs of the only predictor's signature."""
    assert input_names(program) == names


@pytest.mark.parametrize(
    "table",
    [
        ROWS,
        [dspy.Example(**row) for row in ROWS],
        [dspy.Example(**row).with_inputs("question") for row in ROWS],
        pd.DataFrame(ROWS),
        (row for row in ROWS),
    ],
    ids=["dicts", "unmarked", "marked", "data frame", "generator"],
)
def test_rows_of_every_form_become_the_same_examples(table):
    """What is an input is marked; the others are labels."""
    examples = examples_of(table, Asking(), "trainset")
    assert [example.toDict() for example in examples] == ROWS
    assert all(list(example.inputs().keys()) == ["question"] for example in examples)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([], "trainset=0 cannot be used: it has no example"),
        ("data.csv", "trainset='str' cannot be used"),
        ([["q", "a"]], r"trainset\[0\]='list' cannot be used"),
        ([{"text": "q"}], "which takes question, top"),
    ],
)
def test_a_table_of_no_examples_is_one_sentence(table, words):
    """The split, the row and what the program takes are named."""
    with pytest.raises(SettingError, match=words) as refused:
        examples_of(table, Asking(), "trainset")
    assert "\n" not in str(refused.value)


def test_without_valset_half_of_the_trainset_is_one(caplog):
    """Equal inputs stay on one side, the same for a seed; the log says so."""
    caplog.set_level("INFO", "po_optimizer")
    train, val = make_splits(ROWS + ROWS, None, Asking(), seed=3)
    asked = [{e.question for e in split} for split in (train, val)]
    assert (len(train), len(val), asked[0] & asked[1]) == (6, 6, set())
    assert (train, val) == make_splits(ROWS + ROWS, None, Asking(), seed=3)
    assert "no valset: 6 examples of the trainset's 12" in caplog.text
    with pytest.raises(SettingError, match="fewer than 2 different examples"):
        make_splits(ROWS[:1], None, Asking(), seed=3)


def test_a_testset_that_the_optimizer_saw_is_refused(tmp_path):
    """By the inputs of its examples; without a note everything is unseen."""
    examples = examples_of(ROWS, Asking(), "testset")
    hashes = input_hashes(examples)
    check_unseen(examples, hashes, tmp_path)
    note_seen({"trainset": examples[:2], "valset": examples[2:3]}, tmp_path)
    check_unseen(examples[3:], hashes[3:], tmp_path)
    spaced = examples_of([{"question": " q1 \n"}], Asking(), "testset")
    with pytest.raises(SettingError, match="1 of its examples were in"):
        check_unseen(spaced, input_hashes(spaced), tmp_path)
    with pytest.raises(
        SettingError, match="1 of its examples were in the optimization's"
    ):
        check_unseen(examples[2:], hashes[2:], tmp_path)


def test_a_note_of_an_earlier_version_is_read(tmp_path):
    """It held digests of the inputs as they stood, line breaks and all."""
    rows = [{"question": "two\nlines"}]
    digest = sha256(json.dumps(rows[0]).encode()).hexdigest()
    (tmp_path / "splits.json").write_text(json.dumps({"trainset": [digest]}))
    testset = examples_of(rows, Asking(), "testset")
    with pytest.raises(SettingError, match="1 of its examples were in"):
        check_unseen(testset, input_hashes(testset), tmp_path)


def test_cells_of_a_frame_are_what_python_has():
    """A date or an array could not be stored in a demo."""
    day, vector = pd.Timestamp("2024-01-01"), np.ones(2)
    frame = pd.DataFrame({"question": ["q"], "day": [day], "vector": [vector]})
    (example,) = examples_of(frame, Asking(), "trainset")
    assert example.day == datetime(2024, 1, 1)
    assert (type(example.day), example.vector) == (datetime, [1.0, 1.0])


def test_marked_inputs_that_are_not_there_are_told() -> None:
    """Every example would have the same inputs: none."""
    example = dspy.Example(question="q", answer="a").with_inputs("query")
    with pytest.raises(SettingError, match=r"marked as an input, but query"):
        examples_of([example], Asking(), "trainset")


@pytest.mark.parametrize("marked", [True, False])
def test_rows_of_a_frame_are_what_python_has(marked: bool) -> None:
    """As dicts and as examples that were made of them: nothing of pandas is left."""
    days = pd.to_datetime(["2024-01-02", None])
    rows = pd.DataFrame({"question": ["q", "r"], "day": days}).to_dict("records")
    table = (
        [dspy.Example(**r).with_inputs("question") for r in rows] if marked else rows
    )
    first, second = examples_of(table, Asking(), "trainset")
    assert type(first.day) is datetime
    assert second.day is None
    assert first.inputs().toDict() == {"question": "q"}


def test_an_example_that_is_a_demo_is_refused() -> None:
    """Wherever the program was optimized; a demo with other inputs is none of them."""
    program = dspy.ChainOfThought("question -> answer")
    program.predict.demos = [{"question": "q1", "answer": "a1", "augmented": True}]
    examples = examples_of(ROWS, program, "testset")
    hashes = input_hashes(examples)
    check_no_demo(examples[2:], hashes[2:], program)
    with pytest.raises(SettingError, match="1 of its examples are demos"):
        check_no_demo(examples, hashes, program)


_OF_KINDS = """
from datetime import date
import dspy
from po_optimizer.records.in_memory import input_hashes
values = {"b": 1, 2: 3}, {(1, 2): "pair"}, {"a", "b", "c"}, date(2024, 1, 1), object()
print(input_hashes([dspy.Example(v=v).with_inputs("v") for v in values]))
"""


def test_inputs_of_any_kind_have_a_hash_that_every_process_knows() -> None:
    """A set has no order, an object has an address, and keys may be of two types."""
    seeds = ({**os.environ, "PYTHONHASHSEED": seed} for seed in "12")
    code = [sys.executable, "-c", _OF_KINDS]
    first, second = (subprocess.check_output(code, env=e) for e in seeds)  # noqa: S603
    assert first == second
