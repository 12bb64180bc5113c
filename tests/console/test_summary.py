"""What a user reads at the end of a run."""

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node

from po_optimizer.console.summary import show_summary
from po_optimizer.datasets import DSPyProgramDataset, WholeJSONDataset
from po_optimizer.roles import make_program
from tests.test_small_role import ROLE

SCORED = {
    "score": {"mean": 0.5, "n": 4, "interval": {"low": 0.4, "high": 0.6}},
    "rubric": None,
    "n_failed": 1,
    "n_unscored": 0,
}


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal that breaks no line."""
    monkeypatch.setenv("COLUMNS", "200")


def shown(capsys, datasets):
    """What is printed for a run that made these entries."""
    catalog = DataCatalog(
        {
            name: data if hasattr(data, "load") else MemoryDataset(data)
            for name, data in datasets.items()
        }
    )
    makes = [node(lambda: 0, None, name, name=f"make_{name}") for name in datasets]
    show_summary(Pipeline(makes), catalog)
    return capsys.readouterr().out


def test_run_that_made_nothing_to_show_is_silent(capsys):
    """No stage, no line."""
    assert shown(capsys, {"trainset": []}) == ""


def test_scores_are_shown_with_n_and_interval(capsys):
    """A mean never stands alone."""
    report = {
        "baseline": SCORED,
        "optimized": {**SCORED, "rubric": {"mean": None}},
        "reference": {**SCORED, "score": {"mean": 1.0, "n": 4}},
    }
    promotion = {"decision": "inconclusive", "reasons": ["too few examples"]}
    out = shown(capsys, {"score_report": report, "promotion": promotion})
    assert "0.500 (0.400 to 0.600)" in out
    assert "reference outputs (ceiling)" in out
    assert "decision: inconclusive" in out
    assert "too few examples" in out


def test_missing_reference_has_no_row(capsys):
    """What was not measured is not shown."""
    report = {"baseline": SCORED, "optimized": SCORED, "reference": None}
    promotion = {"decision": "promote", "reasons": []}
    out = shown(capsys, {"score_report": report, "promotion": promotion})
    assert "ceiling" not in out


def test_integration_tells_verdict_program_and_conflicts(capsys):
    """Square brackets of an LM's text are text, not markup."""
    report = {
        "status": "misaligned",
        "program": "baseline",
        "reason": "no program",
        "conflicts": ["[bold]FR001[/bold] against C001"],
    }
    out = shown(capsys, {"integration_report": report})
    assert "verdict: misaligned" in out
    assert "by the baseline program (no program)" in out
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
