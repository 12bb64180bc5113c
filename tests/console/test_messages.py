"""Failures become sentences; a defect keeps its traceback."""

import errno
import os

import click
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DatasetError
from kedro.pipeline import Pipeline
from kedro.validation.exceptions import ParameterValidationError

from po_optimizer.console.messages import explain, print_plainly
from po_optimizer.errors import PoOptimizerError, causes

KEPT = " What is done is kept: the same command resumes."


def caused(error, cause):
    """The error raised from its cause."""
    error.__cause__ = cause
    return error


def test_own_error_is_found_below_kedros():
    """A dataset's error may hide ours; ours is the sentence."""
    error = caused(DatasetError("Failed while saving"), PoOptimizerError("the reason"))
    assert explain(error) == "the reason"


def test_chain_that_bites_its_tail_ends():
    """A circular chain of causes is walked once."""
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__context__, other.__context__ = other, one
    assert list(causes(one)) == [one, other]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ParameterValidationError("mine:\n  no  number"), "mine: no number"),
        (DatasetError("broken file"), "broken file"),
        (click.ClickException("wrong option"), "wrong option"),
        (OSError(28, "No space left", "/f"), f"/f: No space left: make room.{KEPT}"),
        (OSError("strange"), f"a file: strange.{KEPT}"),
    ],
)
def test_other_expected_failures_are_told_plainly(error, sentence):
    """Parameters of others, datasets, options and the disk fail without a traceback."""
    assert explain(error) == sentence


@pytest.mark.parametrize(
    "refused",
    [
        lambda: Pipeline([]).only_nodes("nosuch"),
        lambda: OmegaConfigLoader("nosuch")["nosuch"],
    ],
)
def test_what_kedro_refuses_is_told_in_its_words(refused):
    """What it raises itself is about what it was given."""
    with pytest.raises((ValueError, KeyError)) as error:
        refused()
    assert "nosuch" in explain(error.value)


def test_missing_file_is_told_by_its_entry():
    """The catalog entry and the path say what to correct."""
    cause = FileNotFoundError(2, "No such file", "/there/x.jsonl")
    error = caused(DatasetError("raw_records: Failed while loading"), cause)
    assert explain(error).startswith("raw_records: there is no file /there/x.jsonl.")


def test_file_of_a_parameter_is_told_by_its_parameter():
    """What a user wrote is `predict.inputs`, not the catalog's entry."""
    cause = FileNotFoundError(2, "No such file", "/there/x.csv")
    failed = DatasetError("prediction_inputs: Failed while loading")
    assert explain(caused(failed, cause)) == (
        "predict.inputs: there is no file /there/x.csv. Correct the path: "
        "--params predict.inputs=FILE."
    )
    broken = DatasetError("prediction_inputs: /there/x.csv cannot be read")
    assert explain(broken) == "predict.inputs: /there/x.csv cannot be read"


def test_folder_in_the_place_of_a_document_is_told():
    """REQUIREMENTS=folder is a wrong path too; nothing is in anybody's way."""
    error = caused(
        DatasetError("requirements: Failed while loading"),
        IsADirectoryError(errno.EISDIR, "Is a directory", "/there"),
    )
    assert explain(error).startswith("requirements: there is no file /there. Correct")


def test_defect_below_a_stream_keeps_its_traceback():
    """What a node makes while it is saved may fail: that is no dataset's mistake."""
    failed = DatasetError("predictions: Failed while saving data to dataset X")
    assert explain(caused(failed, AttributeError("no such field"))) is None


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "make it writable"),
        (errno.EACCES, "make it writable"),
        (errno.EEXIST, "move away what is in the way of /there/x.json"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_refused_file_of_an_entry_is_told_with_a_remedy(number, remedy):
    """Kedro's own datasets fail as ours do: entry, path, problem, what to do."""
    failed = DatasetError("f: Failed while saving data to dataset X(args={}). [Errno]")
    refused = OSError(number, os.strerror(number), "/there/x.json")
    sentence = explain(caused(failed, refused))
    assert sentence.startswith(f"f: /there/x.json: {os.strerror(number)}")
    assert sentence.endswith(f"{remedy}.{KEPT}")


def raised(error):
    """The error with a traceback of this module's."""
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("y"), AttributeError("z")])
def test_defect_has_no_sentence(error, capsys):
    """What is not understood keeps its traceback."""
    assert explain(error) is None
    assert explain(raised(error)) is None
    print_plainly(type(error), error, error.__traceback__)
    assert "Traceback" in capsys.readouterr().err


def test_traceback_can_be_asked_for(monkeypatch, capsys):
    """PO_TRACEBACK=1 shows where an expected error comes from."""
    error = raised(PoOptimizerError("expected"))
    print_plainly(type(error), error, error.__traceback__)
    assert capsys.readouterr().err == "Error: expected\n"
    assert error._render_traceback_() == ["Error: expected"]
    monkeypatch.setenv("PO_TRACEBACK", "1")
    print_plainly(type(error), error, error.__traceback__)
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(NotImplementedError):
        error._render_traceback_()
