"""Functions are named in a document and come from a donor, if they are the same."""

import functools
import logging
from typing import Any

import dspy
import pytest

from po_optimizer.errors import NotStoredError
from po_optimizer.persistence import (
    extract_program_components,
    load_program_from_components,
    missing_parts,
)
from po_optimizer.persistence import format as fmt


class Clerk(dspy.Module):
    """A program with a function and a text that its name makes a secret."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.token = "<sep>"
        self.price = lambda count: count * factor
        self.answer = dspy.Predict("question -> answer")


@pytest.fixture
def of_another_python() -> dict[str, Any]:
    """A document as a Python made it that compiles functions otherwise."""
    document = extract_program_components(Clerk())
    document["made_with"]["python"] = "3.8"
    document["program"]["state"]["price"]["code"] = "0" * 16
    return fmt.seal(document)


def test_another_function_is_refused() -> None:
    """What a donor's function does and closes over is compared."""
    document = extract_program_components(Clerk(2))

    loaded = load_program_from_components(document, program=Clerk(3))

    assert [part.where for part in missing_parts(loaded)] == ["self.price"]


def test_function_that_closes_over_itself_is_compared() -> None:
    """A local recursive function, as a tool or a helper, comes from a donor."""

    def clerk(step: int) -> Clerk:
        def count(n: int) -> int:
            return n and count(n - step) + 1

        made = Clerk()
        made.price = count
        return made

    document = extract_program_components(clerk(1))
    assert load_program_from_components(document, program=clerk(1)).price(3) == 3
    assert missing_parts(load_program_from_components(document, program=clerk(2)))


def answer_of(program: Any) -> Any:
    """What a helper asks."""
    return program.answer


class Helper:
    """Holds the program that it helps."""

    def __init__(self, program: Any) -> None:
        self.program = program

    def answer(self) -> Any:
        """What it asks."""
        return self.program.answer


class Capturing(dspy.Module):
    """A program that its own functions and helpers hold in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict("question -> answer")
        self.ways: dict[str, Any] = {}
        self.by_number = {1: self.answer, 2: dspy.Predict("question -> answer")}
        steps, second = {"all": [self.answer]}, self.by_number[2]

        def again(n: int = 2) -> Any:
            return again(n - 1) if n else self.answer

        helper = Helper(self)
        self.ways = {
            "default": lambda self=self: self.answer,
            "keyword": functools.partial(answer_of, program=self),
            "list": lambda: steps["all"][0],
            "number": lambda: second and self.by_number[1],
            "recursion": again,
            "object": helper.answer,
        }
        self.helper = helper


def test_code_of_a_donor_acts_on_the_loaded_program() -> None:
    """Wherever it holds the donor: its predictors have learned nothing."""
    document = extract_program_components(Capturing())
    donor = Capturing()
    loaded: Any = load_program_from_components(document, program=donor)
    assert {way: ask() is loaded.answer for way, ask in loaded.ways.items()} == (
        dict.fromkeys(donor.ways, True)
    )
    assert loaded.helper.program is loaded
    cells = loaded.ways["number"].__closure__
    assert loaded.by_number[2] in [cell.cell_contents for cell in cells]
    assert all(ask() is donor.answer for ask in donor.ways.values())


def test_functions_are_not_compared_across_versions_of_python(
    of_another_python: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The given one is used, and a warning names it and both versions."""
    loaded = load_program_from_components(of_another_python, program=Clerk())

    assert loaded.price(3) == 6
    assert "saved with Python 3.8" in caplog.text
    assert "self.price" in caplog.text


def test_text_left_out_by_its_name_is_named_and_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A document never holds what may be a secret; without a donor it is told."""
    with caplog.at_level(logging.WARNING):
        document = extract_program_components(Clerk())
        loaded = load_program_from_components(document, allowed_packages=["tests"])

    assert "self.token (str)" in caplog.text
    with pytest.raises(NotStoredError, match=r"self\.token"):
        str(loaded.token)


def test_text_left_out_by_its_name_comes_from_a_donor() -> None:
    """So does everything else that is not written."""
    document = extract_program_components(Clerk())

    assert load_program_from_components(document, program=Clerk()).token == "<sep>"
