"""What the commands do around a run: exit codes, `--params`, a stored prompt."""

import click
import pytest
from kedro.io import DatasetError

from po_optimizer.cli import RunError, params_of, with_plain_errors
from po_optimizer.errors import BelowBoundError, PoOptimizerError
from po_optimizer.lms.stops import LMUnreachable
from tests.faces.project import copy_project, kedro


def test_mistake_is_one_line_of_a_real_command(tmp_path):
    """Below what was asked for no process adds to it: no traceback, no warning."""
    done = kedro(copy_project(tmp_path / "project"), "run", "--params=optimise.seed=1")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: --params optimise: nothing reads a parameter")
    assert done.stderr.count("\n") == 1
    assert done.stdout == "po_optimizer 0.1.0: run --params=optimise.seed=1\n"


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
        failing(BelowBoundError("rubric=0.9 is not met"))()
    assert ended.value.exit_code == BelowBoundError.exit_code != 1


def test_exit_code_is_found_below_kedros_error():
    """What ends a stream of predictions arrives as the cause of a dataset's error."""
    error = DatasetError("predictions: Failed while saving data")
    error.__cause__ = BelowBoundError("rubric=0.9 is not met")
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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("requirements=a,b.yaml", {"requirements": "a,b.yaml"}),
        ("a.b=1,c=x, y,d=", {"a": {"b": 1}, "c": "x, y", "d": None}),
        ("x=[1,2],y=0", {"x": [1, 2], "y": 0}),
        ("a=1,", {"a": 1}),
        ("a='x, y=z',b=\"c, d=e\"", {"a": "x, y=z", "b": "c, d=e"}),
        ("a={b: 1, c: 'd=e'},f=1", {"a": {"b": 1, "c": "d=e"}, "f": 1}),
        ("a=Tool #1,b=#2", {"a": "Tool #1", "b": "#2"}),
        ("", {}),
    ],
)
def test_commas_in_params(text, value):
    """What has no `=`, or stands in quotes, goes on with the value before it."""
    assert params_of(text) == value


@pytest.mark.parametrize("value", ["a shop: for: tools", "[1", "{", "'it", "\x1b[31m"])
def test_value_that_is_no_yaml_is_refused(value):
    """A text may be quoted; what it is read as is not guessed."""
    with pytest.raises(click.BadParameter, match=r"no YAML .*put it in quotes"):
        params_of(f"optimize.seed=1,concept={value}")


@pytest.mark.parametrize("text", ["nonsense", "=1", "a"])
def test_params_without_a_key_are_refused(text):
    """The error shows the part."""
    with pytest.raises(click.BadParameter, match="key=value"):
        params_of(text)
