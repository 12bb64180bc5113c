"""What a user reads at the end of a run."""

import io
import re

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from rich.console import Console

from po_optimizer.console.next_step import Invocation
from po_optimizer.console.summary import Page, show_summary
from po_optimizer.datasets import DSPyProgramDataset, WholeJSONDataset
from po_optimizer.evaluation.promotion import decide
from po_optimizer.roles.build import make_program
from tests.evaluation.scripted import QUICK, report
from tests.test_small_role import ROLE


def shown(capsys, datasets):
    """What is printed for a run that made these entries."""
    catalog = DataCatalog(
        {
            name: data if hasattr(data, "load") else MemoryDataset(data)
            for name, data in datasets.items()
        }
    )
    makes = [node(lambda: 0, None, name, name=f"make_{name}") for name in datasets]
    show_summary(Pipeline(makes), catalog, Invocation("ollama", {"role": "mine"}))
    return capsys.readouterr().out


def test_run_that_made_nothing_to_show_is_silent(capsys):
    """No stage, no line."""
    assert shown(capsys, {"trainset": []}) == ""


def judged(before, after, **changes):
    """Score report and decision of two lists of scores, as they are stored."""
    scores = report(before, after)
    scores = scores.model_copy(update=changes)
    decision = decide(scores, QUICK)
    stored = {"score_report": scores, "promotion": decision}
    return {name: one.model_dump(mode="json") for name, one in stored.items()}


def test_result_is_told_once(capsys):
    """Headline, both programs with n and interval, the decision and its reason."""
    out = shown(capsys, judged([0.5, 0.4, 0.6], [0.6, 0.5, 0.7]))
    assert "Too few examples to tell: the baseline stays." in out
    assert re.search(r"^baseline +0\.500 \(0\.\d\d to 0\.\d\d\) +", out, re.MULTILINE)
    assert "decision: inconclusive" in out
    assert out.count("not even a perfect score") == 1
    assert not re.search(r" $|[│┃]", out, re.MULTILINE)


def test_missing_reference_has_no_row(capsys):
    """What was not measured is not shown."""
    assert "reference" not in shown(capsys, judged([0.5] * 3, [0.6] * 3))


def test_names_are_folded_at_80_columns(monkeypatch):
    """A long name is broken, never cut."""
    screen = io.StringIO()
    page = Page(Console(file=screen, force_terminal=True, width=40))
    page.table(("run:", "n"), [["a-name-of-more-than-forty-characters-in-all", "7"]])
    letters = re.sub(r"\x1b\[[0-9;]*m|[^a-z-]", "", screen.getvalue())
    assert "a-name-of-more-than-forty-characters-in-all" in letters


def test_next_command_is_about_the_same_lm_and_role(capsys):
    """After the data comes the forecast, with the run's environment and parameters."""
    out = shown(capsys, {"data_report": {}})
    assert "run --pipeline=forecast --env=ollama --params role=mine" in out


def test_integration_tells_verdict_program_and_conflicts(capsys):
    """Square brackets of an LM's text are text, not markup."""
    report = {
        "status": "misaligned",
        "conflicts": ["[bold]FR001[/bold] against C001"],
    }
    choice = {"program": "baseline", "reason": "no program"}
    out = shown(capsys, {"integration_report": report, "choice": choice})
    assert "verdict: misaligned" in out
    assert "made by the baseline program: no program" in out
    assert "[bold]FR001[/bold] against C001" in out


@pytest.mark.parametrize("figure", [0.25, None])
def test_metric_families_are_shown(capsys, figure):
    """A family that was not measured has a dash."""
    names = ("lowest", "mean", "highest", "below_reference")
    family = {"name": "empty", "n": 4, **dict.fromkeys(names, figure)}
    report = {"metric": "m", "families": [family]}
    out = shown(capsys, {"metric_report": MemoryDataset(report)})
    assert "empty" in out
    assert ("25%" in out) == (figure is not None)


def test_paths_are_relative_to_the_project(capsys, tmp_path, monkeypatch):
    """One can paste them into the next command."""
    monkeypatch.chdir(tmp_path)
    here = WholeJSONDataset(filepath=str(tmp_path / "data" / "report.json"))
    elsewhere = WholeJSONDataset(filepath="/elsewhere/report.json")
    out = shown(capsys, {"data_report": here, "product_vision": elsewhere})
    assert "data report: data/report.json" in out
    assert "product vision: /elsewhere/report.json" in out


def test_entry_without_a_path_is_shown_as_such(capsys):
    """An entry in memory lies nowhere."""
    assert "report: ?" in shown(capsys, {"report": MemoryDataset("page")})


def test_versioned_program_is_shown_with_its_version(capsys, tmp_path):
    """The path is that of the document itself."""
    from kedro.io.core import Version  # noqa: PLC0415 -- used here only

    dataset = DSPyProgramDataset(
        filepath=str(tmp_path / "program.json"),
        dill="off",
        verify="inline",
        version=Version(None, "2026-01-01T00.00.00.000Z"),
    )
    dataset.save(make_program(ROLE))
    out = shown(capsys, {"optimized_program": dataset})
    assert "program.json/2026-01-01T00.00.00.000Z/program.json" in out
