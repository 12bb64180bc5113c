"""What finished runs have left, as one entry."""

import json

import pytest
from kedro.io import DatasetError

from po_optimizer.datasets import RunsDataset
from po_optimizer.lms import CallRow, Ledger

CALL = {"started": "2026-01-01T00:00:00", "run_id": "r", "lm": "x", "paid": True}


@pytest.fixture
def data(tmp_path):
    """A data folder with one LM's results, and another's program on it."""

    def put(path, document):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document))

    put("08_reporting/x-test/score_report.json", {"which": "own"})
    put("08_reporting/metric_figure.json", {"no": "run"})
    put("08_reporting/x-test/promotion.json", {"decision": "promote"})
    put("08_reporting/x-test/from-y/score_report.json", {"which": "other"})
    put("08_reporting/x-test/sweep/a/score_report.json", {"which": "sweep"})
    put("06_models/x-test/optimization_report.json", {"seconds": 1.0})
    provenance = {"splits": {"trainset": 4}, "task_lm": "x"}
    for version, kept in {"v1": {}, "v2": provenance}.items():
        path = f"06_models/x-test/program.json/{version}/program.json"
        put(path, {"provenance": kept})
    return tmp_path


def dataset(data):
    """The entry as the catalog has it."""
    return RunsDataset(
        reporting={"filepath": str(data / "08_reporting")},
        models={"filepath": str(data / "06_models")},
        output={"filepath": str(data / "07_model_output")},
    )


def test_every_lm_and_every_transferred_program_is_a_run(data):
    """A sweep's configurations are not: they have a leaderboard of their own."""
    own, other = dataset(data).load()
    assert own["lm"] == "x-test"
    assert own["program_of"] is None
    assert own["promotion"] == {"decision": "promote"}
    assert own["splits"] == {"trainset": 4}
    assert other["program_of"] == "y"
    assert other["promotion"] is None
    assert other["optimization_report"] is None


def test_calls_come_from_the_ledger_of_the_lm(data):
    """An environment's folder may be named after its LM and more."""
    ledger = Ledger(data / "07_model_output/x/ledger.sqlite")
    ledger.record(CallRow(stage="optimize", seconds=3.0, **CALL))
    own = dataset(data).load()[0]
    assert own["calls"]["optimize"]["paid"] == 1


def test_looking_makes_no_ledger(data):
    """Reading leaves no file behind."""
    assert dataset(data).load()[0]["calls"] == {}
    assert not (data / "07_model_output").exists()


def test_nothing_there_is_an_empty_list(tmp_path):
    """The node says what to run."""
    assert dataset(tmp_path).load() == []
    assert not dataset(tmp_path).exists()


def test_it_cannot_be_saved(data):
    """The runs write it."""
    with pytest.raises(DatasetError, match="read-only"):
        dataset(data).save({})
