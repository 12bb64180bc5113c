"""Failures become sentences; what Kedro says in many lines is said in one."""

import errno
import os

import click
import pytest
from kedro.config import MissingConfigException
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from po_optimizer import params
from po_optimizer.console.messages import explain
from po_optimizer.errors import PoOptimizerError
from po_optimizer.pipeline_registry import register_pipelines

REPORT = """Parameter validation failed:
- Parameter 'data_prep': Failed to instantiate P for parameter 'data_prep': 2 \
validation errors for P
sizes.train
  Input should be a valid integer [type=int_parsing, input_value='a', input_type=str]
    For further information visit https://errors.pydantic.dev/2/v/int_parsing
seed
  Value error, no seed [type=value_error, input_value='b', input_type=str]
- Parameter 'role': value is None but type is not Optional"""


KEPT = " What is done is kept: the same command resumes."


def caused(error, cause):
    """The error raised from its cause."""
    error.__cause__ = cause
    return error


def validation_error():
    """What a parameter model raises."""
    try:
        params.DataPrepParams(nosuch=1)
    except ValueError as error:
        return error


def test_every_problem_of_the_parameters_is_told():
    """Kedro's report is cut to field and finding, in its order."""
    sentence = explain(ParameterValidationError(REPORT))
    assert sentence == (
        "the parameters cannot be used: "
        "data_prep.sizes.train: Input should be a valid integer; "
        "data_prep.seed: no seed; "
        "role: value is None but type is not Optional. "
        "Correct it in conf/ or in --params."
    )


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        (
            params.OptimizeParams,
            {"miprov2": {"num_trails": 3}},
            "optimize.miprov2.num_trails: not known (did you mean num_trials?)",
        ),
        (params.DataPrepParams, {"x": 1}, "data_prep.x: not known (known: sizes, seed"),
        (params.LMParams, {"provider": "olama"}, "'litellm' (did you mean ollama?)"),
        (params.LMParams, {"{a}": 1}, "lm.{a}: not known (known: provider"),
        (params.EvaluateParams, 3, "evaluate: Input should be a valid dictionary"),
        (params.SweepParams, {"configurations": 3}, "sweep.configurations: Input"),
    ],
)
def test_misspelt_parameter_is_told_with_the_one_meant(model, given, told):
    """In our hooks and in Kedro's validation, which hands on text only."""
    with pytest.raises(ValidationError) as error:
        model.model_validate(given)
    assert told in explain(error.value)
    name = told.partition(".")[0].partition(":")[0]
    report = f"Parameter validation failed:\n- Parameter '{name}': {error.value}"
    assert told in explain(ParameterValidationError(report))


def test_own_error_is_found_below_kedros():
    """A dataset's error may hide ours; ours is the sentence."""
    error = caused(DatasetError("Failed while saving"), PoOptimizerError("the reason"))
    assert explain(error) == "the reason"


def test_validation_error_is_found_below_another():
    """Pydantic's finding is told with its field."""
    sentence = explain(caused(RuntimeError("x"), validation_error()))
    assert "data_prep.nosuch: not known (known: sizes, seed" in sentence


def test_chain_that_bites_its_tail_ends():
    """A circular chain of causes is walked once."""
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__context__, other.__context__ = other, one
    assert explain(one) is None


def test_unknown_environment_lists_the_known_ones(tmp_path):
    """The folders of conf/ are what can be chosen."""
    for name in ("base", "ollama"):
        (tmp_path / name).mkdir()
    error = MissingConfigException(f"Given configuration path: {tmp_path / 'nosuch'}")
    assert "Choose one of base, ollama." in explain(error)
    error = MissingConfigException(f"Given configuration path: {tmp_path / 'olama'}")
    assert "env='olama' is no environment (did you mean ollama?)" in explain(error)


def test_lost_settings_are_no_environment(tmp_path):
    """Nobody chose `base`; there is nothing to choose instead."""
    base = tmp_path / "conf/base"
    error = MissingConfigException(f"Given configuration path does not exist: {base}")
    assert explain(error).startswith(f"there is no folder {base}")


def test_missing_configuration_without_a_folder_is_told_as_kedro_does():
    """Nothing is made up about what is not understood."""
    assert explain(MissingConfigException("No files found")) == "No files found"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OmegaConfBaseException("bad"), "the configuration cannot be read: bad"),
        (DatasetError("broken file"), "broken file"),
        (click.ClickException("wrong option"), "wrong option"),
        (OSError(28, "No space left", "/f"), f"/f: No space left: make room.{KEPT}"),
        (OSError("strange"), f"a file: strange.{KEPT}"),
    ],
)
def test_other_expected_failures_are_told_plainly(error, sentence):
    """Configuration, datasets, options and the disk fail without a traceback."""
    assert explain(error) == sentence


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("Failed to find the pipeline named 'x'. It"), "pipeline='x' is"),
        (
            ValueError("Failed to find the pipeline named 'Optimise'. It"),
            "pipeline='Optimise' is unknown (did you mean optimize?)",
        ),
        (
            ValueError(
                "Pipeline does not contain nodes named ['split_checked_records']."
            ),
            "(did you mean data_prep.split_checked_records_node?). `kedro",
        ),
        (
            ValueError("Pipeline does not contain datasets named ['trainsett']."),
            "(did you mean trainset?). `kedro",
        ),
        (
            AttributeError("module 'kedro.runner' has no attribute 'ThreadRuner'"),
            "(did you mean ThreadRunner?)",
        ),
        (ValueError("Pipeline does not contain nodes named ['x']."), "registry"),
        (AttributeError("module 'kedro.runner' has no attribute 'x'"), "runner='x'"),
    ],
)
def test_unknown_names_on_the_command_line_are_told(monkeypatch, error, told):
    """Pipelines, nodes and runners are chosen by name."""
    monkeypatch.setattr("po_optimizer.console.messages.pipelines", register_pipelines())
    assert told in explain(error)


def test_parameter_in_two_files_is_told_with_both():
    """Kedro refuses it before any run begins."""
    text = "Duplicate keys found in a/x.yml and a/y.yml: lm.model, lm.provider"
    sentence = explain(ValueError(text))
    assert sentence == (
        "lm.model, lm.provider stands in both a/x.yml and a/y.yml. Take it out of one."
    )


def test_missing_file_is_told_by_its_entry():
    """The catalog entry and the path say what to correct."""
    cause = FileNotFoundError(2, "No such file", "/there/x.jsonl")
    error = caused(DatasetError("raw_records: Failed while loading"), cause)
    assert explain(error).startswith("raw_records: there is no file /there/x.jsonl.")


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


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("y"), AttributeError("z")])
def test_defect_has_no_sentence(error):
    """What is not understood keeps its traceback."""
    assert explain(error) is None
