"""Every error owns a sentence that names the value and what to do."""

import importlib
import inspect
import pickle
import re

import pytest
from pydantic import BaseModel, ValidationError

from po_optimizer import errors
from po_optimizer.errors import (
    PoOptimizerError,
    field_problems,
    listed,
    needs_extra,
)

CLASSES = [
    cls
    for cls in vars(errors).values()
    if isinstance(cls, type)
    and issubclass(cls, PoOptimizerError)
    and "__init__" in vars(cls)
]


def made(cls):
    """An error of the class, its arguments chosen by their annotations."""
    values = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        kind = str(parameter.annotation)
        values[name] = f"the {name}"
        if "Mapping" in kind:
            values[name] = {f"the {name}": f"the {name}"}
        elif "Iterable" in kind or "list" in kind:
            values[name] = [f"the {name}"]
        elif "int" in kind or "float" in kind:
            values[name] = 3
    return cls(**values)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_sentence_is_polite_and_plain(cls):
    """No "Please", no exclamation mark, no two spaces, no unfilled braces."""
    sentence = str(made(cls))
    assert made(cls).exit_code > 0
    assert "Please" not in sentence
    assert not re.search("[!{}]|  ", sentence)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_error_survives_the_way_to_another_process(cls):
    """Class, sentence and attributes arrive as they were raised."""
    error = made(cls)
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 -- made one line above
    assert type(arrived) is cls
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_setting_error_names_setting_value_and_remedy():
    """What happened, what is allowed, what to do."""
    error = errors.SettingError("lm.x", 3, "at most 2", "Lower it.")
    assert str(error) == "lm.x=3 cannot be used: at most 2. Lower it."
    assert error.setting == "lm.x"


def test_document_error_is_a_value_error():
    """Pydantic takes it as the finding of a validator."""
    assert isinstance(errors.DocumentError("vision", "no mapping"), ValueError)
    assert "at line 3, column 4" in str(errors.DocumentError("v", "p", 3, 4))


@pytest.mark.parametrize(
    ("names", "shown"),
    [([], ""), (["a", "b"], "a, b"), (range(12), "0, 1, 2 and 9 more")],
)
def test_long_lists_are_cut(names, shown):
    """An error stays readable whatever it lists."""
    assert listed(names, limit=3) == shown


class Part(BaseModel):
    """A nested field."""

    numbers: list[int]


class Whole(BaseModel):
    """With a nested field."""

    part: Part


def test_field_problems_have_paths():
    """Nested fields and list positions are written as people do."""
    with pytest.raises(ValidationError) as raised:
        Whole(part={"numbers": [1, "x"]})
    (problem,) = field_problems(raised.value)
    assert problem.startswith("part.numbers[1]: Input should be a valid integer")


def test_a_missing_package_names_the_extra_that_brings_it():
    """In one sentence; a package that is there is imported."""
    with needs_extra("report", "the page of a report"):
        importlib.import_module("json")
    words = r"the page of a report needs the extra report \(no_such_package is not"
    with (
        pytest.raises(PoOptimizerError, match=words) as missing,
        needs_extra("report", "the page of a report"),
    ):
        importlib.import_module("no_such_package")
    assert "pip install 'po-optimizer[report]'" in str(missing.value)
