import sys

import dspy
import pytest
from click.testing import CliRunner

import po_optimizer
from po_optimizer import __main__ as entry
from po_optimizer.pipeline_registry import register_pipelines


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A versioned program, as the catalog stores it; the folder of its versions."""
    folder = tmp_path_factory.mktemp("models") / "program.json"
    for version in ("2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"):
        program = dspy.Predict(dspy.Signature("question -> answer", f"Rule {version}."))
        program.demos = [dspy.Example(question="1 + 1", answer="2")]
        po_optimizer.save_program(
            program, folder / version / "program.json", verify="off"
        )
    return folder


def test_every_public_name_is_there():
    """Each name of the public surface can be imported from the package."""
    assert all(getattr(po_optimizer, name) for name in po_optimizer.__all__)
    assert set(po_optimizer.__all__) <= set(dir(po_optimizer))


def test_unknown_name_is_an_attribute_error():
    """A name that is not public is refused as Python refuses it."""
    with pytest.raises(AttributeError, match="no attribute 'load_porgram'"):
        po_optimizer.load_porgram  # noqa: B018


def test_program_loads_outside_kedro(stored):
    """A released program is loaded and its prompt is the stored one."""
    path = max(stored.glob("*/program.json"))
    program = po_optimizer.load_program(path)
    assert program.signature.instructions == "Rule 2026-01-02T00.00.00.000Z."


def test_help_lists_every_pipeline():
    """`po-optimizer --help` names each pipeline with one line, and no other."""
    shown = CliRunner().invoke(entry.group, ["--help"]).output
    assert set(entry.PIPELINES) == set(register_pipelines())
    assert all(line in shown for line in entry.PIPELINES.values())


def test_version_is_printed():
    """`po-optimizer --version` is the package's version."""
    shown = CliRunner().invoke(entry.group, ["--version"]).output
    assert po_optimizer.__version__ in shown


def test_bare_options_are_those_of_run():
    """`po-optimizer --env=x` is `po-optimizer run --env=x`, Kedro's convention."""
    shown = CliRunner().invoke(entry.group, ["--nosuch"])
    assert "po-optimizer run" in shown.output or "run [OPTIONS]" in shown.output


def test_main_takes_arguments(capsys):
    """`main([...])` can be called from a scheduler."""
    entry.main(["--version"], standalone_mode=False)
    assert "po-optimizer" in capsys.readouterr().out


def test_show_prints_the_newest_version(stored):
    """`show` on a versioned folder prints the newest prompt and its demos' number."""
    shown = CliRunner().invoke(entry.group, ["show", str(stored)])
    assert "Rule 2026-01-02" in shown.output
    assert "question -> answer; demos: 1" in shown.output


def test_show_refuses_what_is_no_program(tmp_path):
    """A folder without programs and a broken file end in one sentence."""
    (tmp_path / "broken.json").write_text("{}")
    for path in (tmp_path, tmp_path / "broken.json"):
        shown = CliRunner().invoke(entry.group, ["show", str(path)])
        assert shown.exit_code == 1
        assert shown.output.startswith("Error: path=")


def test_the_command_line_names_the_extra_kedro(monkeypatch):
    """Where only the base is installed."""
    monkeypatch.setitem(sys.modules, "kedro.framework.project", None)
    shown = CliRunner().invoke(entry.group, ["new", "role"])
    assert (shown.exit_code, "[kedro]" in shown.output) == (1, True)
