"""What finished runs have left, as one entry."""

import json

import pytest
from kedro.io import DatasetError

from po_optimizer.datasets import RunsDataset
from po_optimizer.lms.ledger import CallRow, Ledger
from tests.evaluation.scripted import report

CALL = {"started": "2026-01-01T00:00:00", "run_id": "r", "lm": "x", "paid": True}


@pytest.fixture
def data(tmp_path):
    """A data folder with one LM's results, another's program on it, and a sweep's."""
    scores = report([0.2, 0.4], [0.5, 0.6]).model_dump(mode="json")

    def put(path, document):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document))

    for run in ("x-test", "x-test/from-y", "x-test/sweep/a", "role/z"):
        put(f"08_reporting/{run}/score_report.json", scores)
    put("08_reporting/x-test/runs/2026/score_report.json", scores)  # kept, not latest
    put("08_reporting/metric_figure.json", {"no": "run"})
    put("08_reporting/run.log.1", {"no": "folder"})
    put("08_reporting/x-test/promotion.json", {"decision": "promote"})
    search = {"seconds": 1.0, "fingerprint": {"task_lm.slug": "x"}}
    put("06_models/x-test/optimization_report.json", search)
    put("07_model_output/x-test/optimized_predictions.jsonl", {"score": 0.5})
    return tmp_path


def runs(data):
    """The runs by name, as the catalog's entry loads them."""
    dataset = RunsDataset(
        reporting={"filepath": str(data / "08_reporting")},
        models={"filepath": str(data / "06_models")},
        output={"filepath": str(data / "07_model_output")},
    )
    assert dataset.exists()
    return {run.name: run for run in dataset.load()}


def test_every_folder_with_a_score_report_is_a_run(data):
    """An LM's own, another LM's program, a configuration of a sweep, a role's."""
    found = runs(data)
    assert set(found) == {"x-test", "x-test/from-y", "x-test/sweep/a", "role/z"}
    own, other = found["x-test"], found["x-test/from-y"]
    assert (own.lm, own.program_of, own.decision) == ("x-test", None, "promote")
    assert own.scores == [0.5]
    assert (other.lm, other.program_of, other.decision) == ("x-test", "y", None)
    assert other.search is None
    assert found["x-test/sweep/a"].lm == "x-test"
    assert found["role/z"].lm == "z"


def test_calls_come_from_the_ledger_of_the_lm(data):
    """An environment's folder may be named after its LM and more."""
    ledger = Ledger(data / "07_model_output/x/ledger.sqlite")
    ledger.record(CallRow(stage="optimize", seconds=3.0, **CALL))
    assert runs(data)["x-test"].usage["optimize"].paid == 1


def test_looking_makes_no_ledger(data):
    """Reading leaves no file behind."""
    assert runs(data)["role/z"].usage == {}
    assert not list(data.rglob("ledger.sqlite"))


def test_nothing_there_is_an_empty_list(tmp_path):
    """The node says what to run."""
    entry = {"filepath": str(tmp_path)}
    dataset = RunsDataset(reporting=entry, models=entry, output=entry)
    assert dataset.load() == []
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="read-only"):
        dataset.save({})


@pytest.mark.parametrize(
    "broken",
    [
        "08_reporting/x-test/score_report.json",
        "08_reporting/x-test/promotion.json",
        "06_models/x-test/optimization_report.json",
        "07_model_output/x-test/optimized_predictions.jsonl",
    ],
)
def test_run_that_cannot_be_read_is_named(data, broken):
    """Of twenty runs one was cut: the error says which."""
    (data / broken).write_text('[{"cut')
    with pytest.raises(DatasetError, match="what the run x-test left"):
        runs(data)
