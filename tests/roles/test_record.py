"""Records of a table: its columns are the program's inputs and the labels."""

import dspy
import pytest
from pydantic import BaseModel, ValidationError

from po_optimizer.errors import SettingError
from po_optimizer.params.project import RoleParams
from po_optimizer.roles.record import (
    Identity,
    input_columns,
    load_record_type,
    stratum_of,
)

typed = dspy.Predict("text, k: int -> count: int, urgent: bool | None, code: str")
ready_made = dspy.ChainOfThought("question, context -> answer")


class Search(dspy.Module):
    """Takes a question, and perhaps a number."""

    def __init__(self, client=None):
        super().__init__()
        self.answer = dspy.Predict("question, passages -> answer")

    def forward(self, question, k=3):
        """The answer."""
        return self.answer(question=question, passages=[])


class AnyInputs(dspy.Module):
    """Tells nothing of what it takes."""

    def forward(self, **inputs):
        """Nothing."""


class Note(BaseModel):
    """A record class with no more than what is needed."""

    text: str

    def to_example(self):
        """The text."""
        return dspy.Example(text=self.text, label="x").with_inputs("text")


def role(name, **settings):
    """A role whose program is in this module."""
    return RoleParams(program=f"tests.roles.test_record:{name}", **settings)


@pytest.mark.parametrize(
    ("program", "columns"),
    [
        ("Search", ("question", "k")),
        ("ready_made", ("question", "context")),
    ],
)
def test_columns_are_what_the_program_takes(program, columns):
    """The parameters of its forward, or the fields of its signature."""
    assert tuple(input_columns(role(program))) == columns


def test_named_columns_win():
    """A program that takes anything needs them."""
    assert input_columns(role("AnyInputs", inputs=["text"])) == {"text": True}
    with pytest.raises(SettingError, match=r"role.inputs=.*stand in no signature"):
        input_columns(role("AnyInputs"))


def test_row_becomes_an_example_with_every_column():
    """An optional input may be missing; what is no input is a label."""
    record = load_record_type(role("Search")).model_validate(
        {"question": "why", "answer": "so", "source": 3}
    )
    example = record.to_example()
    assert example.inputs().toDict() == {"question": "why"}
    assert example.labels().toDict() == {"answer": "so", "source": 3}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"context": "c"}, "question\\n  there is no value .columns: context"),
        ({"question": None, "context": "c", "answer": "x"}, "question"),
        ({"question": "q", "context": "c"}, "answer"),
        (["q"], "a row with columns is wanted"),
    ],
)
def test_row_without_a_column_is_refused(row, problem):
    """The column and those that are there are named."""
    columns = load_record_type(role("ready_made", outputs=["answer"]))
    with pytest.raises(ValidationError, match=problem):
        columns.model_validate(row)


def test_strata_and_groups_are_columns():
    """Duplicates are told by the inputs alone."""
    chosen = role("Search", stratum=["kind"], group="customer")
    row = {"question": "why", "kind": 2, "customer": "c1", "answer": "so"}
    record = load_record_type(chosen).model_validate(row)
    assert stratum_of(record) == ("2",)
    assert Identity.of(record) == Identity(("why",), "c1")


def test_record_class_needs_neither_stratum_nor_identity():
    """One stratum for all; duplicates are told by the texts of the inputs."""
    record = Note(text="hello")
    assert stratum_of(record) == ()
    assert Identity.of(record) == Identity(("hello",))


def test_numbers_of_a_table_of_texts_are_numbers():
    """A metric compares them with what the program gives; what is none stays a text."""
    row = {"text": "7", "k": "3", "count": "07", "urgent": "False", "code": "08"}
    example = load_record_type(role("typed")).model_validate(row).to_example()
    numbers = {"k": 3, "count": 7, "urgent": False}
    assert example.toDict() == row | numbers
    odd = load_record_type(role("typed")).model_validate(row | {"count": "many"})
    assert odd.to_example().count == "many"


def test_texts_of_other_tables_stay_as_they_are():
    """Whoever writes JSON has written a number where it is one."""
    row = {"text": "x", "k": 3, "count": "7"}
    record = load_record_type(role("typed")).model_validate(row)
    assert record.to_example().count == "7"


@pytest.mark.parametrize("name", ["self", "base", "inputs", "items"])
def test_columns_may_have_any_name(name):
    """Also one that dspy.Example's own methods have."""
    row = {"question": "q", name: "x"}
    example = load_record_type(role("Search")).model_validate(row).to_example()
    assert example.toDict() == row
