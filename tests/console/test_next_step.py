"""Commands for pasting."""

import shlex
import sys
from pathlib import Path

import pytest

from po_optimizer.console import next_step
from po_optimizer.console.next_step import Invocation, params_of, program

RUN = Invocation("ollama", {"role": {"name": "support_desk"}, "lm": {"seed": None}})
OPTIONS = "--env=ollama --params role=support_desk,lm.seed=null"


@pytest.fixture(autouse=True)
def activated(monkeypatch):
    """The environment's commands are found by name."""
    monkeypatch.setattr(next_step, "program", lambda name: name)


def test_a_command_names_environment_and_parameters():
    """Pasted, it is about the same LM, role and settings."""
    assert RUN.command("--pipeline=evaluate") == (
        f"kedro run --pipeline=evaluate {OPTIONS}"
    )
    assert Invocation(None, None).command() == "kedro run"
    assert "'a=x y'" in Invocation(None, {"a": "x y"}).command()


@pytest.mark.parametrize(
    "value",
    ["a, b: c", "x, y=z", "null", "2030", "1e3", "it's: x", '"', "#1 of 2", ["a,b=c"]],
)
def test_a_pasted_parameter_is_the_same(value):
    """A text that YAML, commas or `#` would change is in quotes."""
    *_, text = shlex.split(Invocation(None, {"a": {"b": value}}).command())
    assert params_of(text) == {"a": {"b": value}}


@pytest.mark.parametrize(
    ("sentence", "completed"),
    [
        ("Make one: kedro run --pipeline=persist", "--pipeline=persist {}"),
        ("Promote one: kedro run, or ...", "Promote one: kedro run {}, or"),
        ("kedro run --pipeline=predict --params a=1.", "--pipeline=predict {},a=1."),
        ("each LM: kedro run --env=<environment>", "kedro run --env=<environment>"),
        ("say kedro running", "say kedro running"),
    ],
)
def test_a_command_in_a_sentence_is_completed(sentence, completed):
    """An error's command works as it stands, too."""
    assert completed.format(OPTIONS) in RUN.complete(sentence)


def test_a_program_that_no_shell_finds_has_a_path(tmp_path, monkeypatch):
    """After `make run` nothing is activated."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    kedro = python.with_name("kedro")
    kedro.write_text("#!/bin/sh\n")
    kedro.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert program("kedro") == str(Path("bin") / "kedro")
    monkeypatch.setenv("PATH", str(python.parent))
    assert program("kedro") == "kedro"
