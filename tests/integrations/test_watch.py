"""The live page's server: what it shows, whom it answers, what it asks of a run."""

import json
import os
from pathlib import Path

import dspy
import pytest
from starlette.testclient import TestClient

from po_optimizer import save_program
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.integrations.watch.server import make_app
from po_optimizer.integrations.watch.state import find_runs
from po_optimizer.lms.ledger import CallRow, Ledger
from po_optimizer.lms.usage import MeanUsage
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.optimization.journal import (
    BEST_ANSWERS,
    Journal,
    Trial,
    open_journal,
    sole_run,
)
from po_optimizer.optimization.optimizers.base import CallRange
from po_optimizer.optimization.run_identity import optimization_id
from po_optimizer.optimization.steering import read_request

TOKEN = "a-token"
FINGERPRINT = {"optimize.seed": "9"}
TRIAL = Trial(
    trial=1,
    kind="baseline",
    instruction=[0],
    demo_set=[0],
    score=0.5,
    n=4,
    n_failed=0,
    best=0.5,
    calls_paid=4,
    calls_cached=0,
    seconds=2.0,
)


@pytest.fixture
def data(tmp_path) -> Path:
    """A project's data with an optimization after its baseline."""
    models = tmp_path / "06_models/desk/openai-x"
    workspace = models / "optimization"
    workspace.mkdir(parents=True)
    journal: Journal = open_journal(workspace / "trials.jsonl", FINGERPRINT, "stop")
    journal.add(TRIAL)
    rate = MeanUsage(basis="setting", n=0, seconds=1.0, tokens=None, cost_usd=None)
    forecast = Forecast(
        optimizer="miprov2",
        task=CallRange(lower=4, upper=12),
        prompt=CallRange(lower=5, upper=5),
        preflight=2,
        trials=3,
        task_rate=rate,
        prompt_rate=rate,
        num_threads=1,
        tokens=None,
        seconds=17.0,
        cost_usd=None,
        over_budget=[],
    )
    (models / "forecast.json").write_text(forecast.model_dump_json())
    program = dspy.Predict(dspy.Signature("q -> a", "Be <b>brief</b>."))
    best = workspace / "best_program_so_far.json"
    save_program(program, best, dill="off", verify="off")
    Ledger(tmp_path / "07_model_output/desk/openai-x/ledger.sqlite").record(
        CallRow(
            started="2026-01-01T00:00:00+00:00",
            run_id="r",
            stage="optimize",
            optimization_id=optimization_id(FINGERPRINT),
            lm="x",
            paid=True,
            prompt_tokens=7,
            completion_tokens=1,
            seconds=0.5,
        )
    )
    return tmp_path


@pytest.fixture
def client(data):
    """A browser on this machine."""
    return TestClient(make_app(data, TOKEN), base_url="http://127.0.0.1")


def test_run_is_described_by_journal_and_ledger(data):
    """Trials, calls, cost, time left and the best prompt so far, JSON-ready."""
    (run,) = find_runs(data)
    shown = json.loads(json.dumps(run.describe()))
    assert shown["name"] == "06_models/desk/openai-x/optimization"
    assert (shown["running"], shown["planned"]) == (False, 3)
    assert [trial["score"] for trial in shown["trials"]] == [0.5]
    assert (shown["spent"]["paid"], shown["spent"]["tokens"]) == (1, 8)
    assert shown["spent"]["cost_usd"] is None
    assert (shown["expected_calls"], shown["seconds_left"]) == (19, 4.0)
    assert shown["prompts"] == [
        {"path": "self", "instructions": "Be <b>brief</b>.", "n_demos": 0}
    ]


def test_worst_examples_are_those_written_last(data):
    """Also of one under way, whose last line is cut; unscored ones are left out."""
    (run,) = find_runs(data)
    assert run.describe()["worst"] is None
    output = data / "07_model_output/desk/openai-x"
    scores = [0.75, 0.0, 0.5, 1.0, None]
    lines = [_record(i, score).model_dump_json() for i, score in enumerate(scores)]
    (output / "baseline_predictions.jsonl").write_text("\n".join(lines))
    (output / "champion_predictions.jsonl").touch()
    worst = run.describe()["worst"]
    assert [e["score"] for e in worst["examples"]] == [0.0, 0.5, 0.75]
    assert (worst["n"], worst["examples"][0]["why"]) == (4, "1 is wrong")
    under_way = output / ".optimized_predictions.jsonl.7.tmp"
    under_way.write_text(lines[2] + "\n" + lines[1][:40])
    os.utime(under_way, (2**32, 2**32))
    assert [e["id"] for e in run.describe()["worst"]["examples"]] == ["2"]
    searched = run.workspace / BEST_ANSWERS
    searched.write_text(lines[3])
    os.utime(searched, (2**32 + 1, 2**32 + 1))
    worst = run.describe()["worst"]
    assert ([e["id"] for e in worst["examples"]], worst["n"]) == (["3"], 1)
    assert worst["where"].startswith("the best program so far")


def _record(index: int, score: float | None) -> PredictionRecord:
    status = "unscored" if score is None else "ok"
    return PredictionRecord(
        index=index,
        example_id=str(index),
        which="baseline",
        inputs={"q": "<b>"},
        outputs={"a": [1]},
        status=status,
        score=score,
        feedback=f"{index} is wrong",
    )


def test_page_needs_token_and_this_machine(client):
    """Neither another token nor another host's name is answered."""
    assert "<title>po_optimizer" in client.get(f"/{TOKEN}/").text
    for other in ("another", "%C3%A9", "%00"):
        assert client.get(f"/{other}/").status_code == 404
    assert client.post(f"/another/{'0' * 16}/stop").status_code == 404
    other = {"host": "evil.example"}
    assert client.get(f"/{TOKEN}/", headers=other).status_code == 400


def test_running_optimization_is_asked(data, client):
    """Pause, resume, budget and stop stand in the workspace; mistakes are refused."""
    (run,) = find_runs(data)
    place = f"/{TOKEN}/{run.id}"
    assert client.post(f"{place}/stop").status_code == 409
    with sole_run(run.workspace / "trials.jsonl"):
        assert run.is_running()
        assert client.post(f"{place}/pause").text == "asked"
        assert read_request(run.workspace).pause
        client.post(f"{place}/budget", json={"max_calls": 40})
        request = read_request(run.workspace)
        assert request.budget is not None
        assert (request.pause, request.budget.max_calls) == (True, 40)
        client.post(f"{place}/budget", json={"max_cost_usd": "2.5"})
        bounds = {"max_calls": 40, "max_cost_usd": 2.5}
        budget = read_request(run.workspace).budget
        assert budget.model_dump(exclude_unset=True) == bounds
        for body in (
            b"",
            b"[]",
            b"{",
            b"[" * 100_000,
            b'{"max_calls": 0}',
            b'{"x": 1}',
        ):
            assert client.post(f"{place}/budget", content=body).status_code == 400
        client.post(f"{place}/resume")
        client.post(f"{place}/stop")
        assert read_request(run.workspace).stop
        assert client.post(f"{place}/explode").status_code == 400
        assert client.post(f"/{TOKEN}/other/stop").status_code == 409
