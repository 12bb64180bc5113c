"""A user's mistake ends in one sentence that names it and says what to do."""

import click
import pytest
from click.testing import CliRunner
from kedro.io import DatasetError

from po_optimizer.cli import RunError, cli, run, split_params, with_plain_errors
from po_optimizer.errors import BelowBoundError, PoOptimizerError
from po_optimizer.lms import LMUnreachable
from po_optimizer.persistence import save_program
from po_optimizer.roles import make_program
from tests.faces.project import copy_project, kedro
from tests.test_small_role import ROLE

MISTAKES = {
    "unknown pipeline": (
        ["--pipeline=nosuch"],
        ["pipeline='nosuch'", "data_prep", "integrate"],
    ),
    "unknown environment": (
        ["--env=nosuch"],
        ["env='nosuch'", "ollama", "openai-compatible", "vertex"],
    ),
    "too few records": (
        ["--pipeline=data_prep", "--params=data_prep.sizes.train=100000"],
        ["data_prep.sizes='100000+", "180 usable records", "Lower the sizes"],
    ),
    "unknown parameter": (
        ["--pipeline=data_prep", "--params=data_prep.nosuch=1"],
        ["data_prep.nosuch: not known (known: sizes, seed", "--params"],
    ),
    "misspelt parameter": (
        ["--pipeline=data_prep", "--params=requirement=x.yaml"],
        ["--params requirement: nothing reads", "(did you mean requirements?)"],
    ),
    "one value for a group": (
        ["--pipeline=data_prep", "--params=lm=ollama"],
        ["lm='ollama'", "--params lm.model=..."],
    ),
    "wrong value": (
        ["--pipeline=data_prep", "--params=data_prep.sizes.train=abc"],
        ["data_prep.sizes.train: Input should be a valid integer", "--params"],
    ),
    "wrong LM value": (
        ["--params=lm.temperature=abc"],
        ["lm.temperature: Input should be a valid number", "--params"],
    ),
    "unknown LM key": (
        ["--params=lm.nosuch=1"],
        ["lm.nosuch: not known (known: provider, model", "--params"],
    ),
    "missing records": (
        ["--pipeline=data_prep", "--params=raw_records=nosuch.jsonl"],
        ["raw_records: there is no file", "nosuch.jsonl", "--params"],
    ),
    "empty records": (
        ["--pipeline=data_prep", "--params=raw_records=empty.jsonl"],
        ["raw_records=", "the file is empty", "README.md"],
    ),
    "missing requirements": (
        ["--pipeline=integrate", "--params=requirements=nosuch.yaml"],
        ["requirements: there is no file", "nosuch.yaml"],
    ),
    "unknown role": (
        ["--pipeline=data_prep", "--params=role.record=nosuch.Thing"],
        ["role.record='nosuch.Thing'", "package.module.Name"],
    ),
    "unknown node": (["--nodes=nosuch"], ["nodes named ['nosuch']", "registry"]),
    "unknown runner": (["--runner=nosuch"], ["runner='nosuch'", "ThreadRunner"]),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of its own with an empty file of records."""
    project = copy_project(tmp_path_factory.mktemp("mistakes") / "project")
    (project / "empty.jsonl").write_text("")
    return project


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_told_in_one_sentence(project, mistake):
    """The run fails; stderr is a line that names the setting and what to do."""
    arguments, told = MISTAKES[mistake]
    done = kedro(project, "run", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert all(part in done.stderr for part in told), done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_switch_that_is_none_is_refused(project):
    """USE_DSPY_PO takes the words of a switch; the error lists them."""
    done = kedro(project, "run", "--pipeline=integrate", USE_DSPY_PO="maybe")
    assert done.returncode == 1
    assert "features.use_dspy_product_owner: 'maybe' is no switch" in done.stderr
    assert "1/true/yes/on or 0/false/no/off" in done.stderr
    assert done.stderr.count("\n") == 1


def test_failed_run_leaves_nothing_behind(project):
    """Mistakes that are seen in time write no data."""
    kedro(project, "run", "--params=lm.temperature=abc")
    assert not list((project / "data").glob("06_models/*"))
    assert not (project / "planning").exists()


def failing(error):
    """A command that raises, as `kedro run` does."""

    def command():
        raise error

    return with_plain_errors(command)


def test_interrupt_says_that_the_command_resumes():
    """Ctrl-C ends with a shell's code for it."""
    with pytest.raises(RunError, match="same command resumes") as ended:
        failing(KeyboardInterrupt())()
    assert ended.value.exit_code == 130


def test_stop_that_reaches_the_command_is_told():
    """A StopRun that no library caught is no traceback either."""
    with pytest.raises(RunError, match="gave no answer: refused"):
        failing(LMUnreachable("slug", "here", "refused"))()


def test_exit_code_is_the_errors_own():
    """CI tells a missed bound from a broken run."""
    with pytest.raises(RunError) as ended:
        failing(BelowBoundError("evaluate.fail_below.rubric", 0.9, 0.5))()
    assert ended.value.exit_code == BelowBoundError.exit_code != 1


def test_exit_code_is_found_below_kedros_error():
    """What ends a stream of predictions arrives as the cause of a dataset's error."""
    error = DatasetError("predictions: Failed while saving data")
    error.__cause__ = BelowBoundError("evaluate.fail_below.rubric", 0.9, 0.5)
    with pytest.raises(RunError, match=r"rubric=0.9 is not met") as ended:
        failing(error)()
    assert ended.value.exit_code == BelowBoundError.exit_code


def test_defect_of_ours_keeps_its_traceback():
    """What no sentence fits is shown as it is."""
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError("boom"))()


def test_traceback_can_be_asked_for(monkeypatch):
    """PO_TRACEBACK=1 shows where an expected error comes from."""
    monkeypatch.setenv("PO_TRACEBACK", "1")
    with pytest.raises(PoOptimizerError):
        failing(PoOptimizerError("expected"))()


@pytest.fixture
def stored(tmp_path):
    """The path of a stored program, as a versioned dataset lays it out."""
    path = tmp_path / "program.json" / "2026-01-01" / "program.json"
    path.parent.mkdir(parents=True)
    save_program(make_program(ROLE), path, dill="off", verify="inline")
    return path


@pytest.mark.parametrize("level", [0, 2])
def test_show_prints_the_prompt(stored, level):
    """A document, or the newest version of a versioned one, is shown."""
    path = [stored, *stored.parents][level]
    done = CliRunner().invoke(cli, ["show", str(path)])
    assert done.exit_code == 0, done.output
    assert "Name the product and up to three tags." in done.output
    assert "text -> label; demos: 0" in done.output


def test_show_refuses_what_is_no_program(tmp_path):
    """A damaged document and an empty folder are told as such."""
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    for path in (broken, tmp_path):
        done = CliRunner().invoke(cli, ["show", str(path)])
        assert done.exit_code == 1
        assert "Error: path=" in done.output


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("requirements=a,b.yaml", {"requirements": "a,b.yaml"}),
        ("a.b=1,c=x, y,d=", {"a": {"b": 1}, "c": "x, y", "d": None}),
        ("x=[1,2],y=0", {"x": [1, 2], "y": 0}),
        ("a=1,", {"a": 1}),
        ("", {}),
    ],
)
def test_commas_in_params(text, value):
    """What has no `=` goes on with the value before it."""
    assert split_params(click.Context(run), run.params[0], text) == value


@pytest.mark.parametrize("text", ["nonsense", "=1", "a"])
def test_params_without_a_key_are_refused(text):
    """The error shows the part."""
    with pytest.raises(click.BadParameter, match="key=value"):
        split_params(click.Context(run), run.params[0], text)
