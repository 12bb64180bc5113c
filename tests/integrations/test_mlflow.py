"""A project's run, and one of Python, in a real MLflow server on loopback."""

import json
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import dspy
import pytest
from kedro.io import DataCatalog

from po_optimizer import evaluate, optimize
from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.usage import Usage
from po_optimizer.params.project import MLflowParams
from po_optimizer.roles.build import load_metric, make_program
from tests.faces.project import answering, copy_project, kedro, support_desk_answer
from tests.integrations.test_other_tools import TOOLS, tool
from tests.programs.cases import CASES
from tests.programs.server import serving

mlflow = pytest.importorskip("mlflow", reason="make test-integrations installs it")

from po_optimizer.integrations.mlflow import Tracker, track  # noqa: E402

pytestmark = pytest.mark.integrations


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of an MLflow server with a database of its own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    place = ["--artifacts-destination", str(folder / "artifacts"), "--port", str(port)]
    own = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    own["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would ask the network
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 -- the tool under test
            [*command, *store, *place], stdout=log, stderr=log, env=own
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _await(port, process, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _await(port, process, log):
    for _ in range(1500):
        assert process.poll() is None, log.read_text()[-2000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


def run_project(folder, uri, **variables):
    """A project whose run was told to MLflow as `desk`; MLflow's client."""
    project = copy_project(folder)
    settings = json.dumps({"tracking": {"mlflow": {"uri": uri, "experiment": "desk"}}})
    (project / "conf/base/parameters_tracking.yml").write_text(settings)
    own = f"server: {{mlflow_tracking_uri: {uri}}}\n"  # read by kedro-mlflow alone
    (project / "conf/base/mlflow.yml").write_text(own)
    with answering(support_desk_answer) as url:
        done = kedro(
            project,
            "run",
            "--params=role=support_desk",
            base_url=url,
            environment="openai-compatible",
            **variables,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return project, mlflow.MlflowClient(uri)


def runs_of(client, name):
    """The runs of an experiment."""
    experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id])


@pytest.fixture(scope="module")
def project_run(server, tmp_path_factory):
    """The folder of a project's run that was told to the server, and MLflow's run."""
    project, client = run_project(tmp_path_factory.mktemp("desk") / "project", server)
    (run,) = runs_of(client, "desk")
    return project, client, run


def test_kedro_mlflow_has_a_run_of_its_own(tmp_path):
    """Beside it ours has trials, scores and traces, and its run has none of them."""
    plugin = tool(TOOLS / "kedro_mlflow")
    path = os.pathsep.join([plugin, os.environ.get("PYTHONPATH", "")])
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    _, client = run_project(tmp_path / "project", uri, PYTHONPATH=path)
    (ours,), (theirs,) = runs_of(client, "desk"), runs_of(client, "po_optimizer")
    assert [run.info.status for run in (ours, theirs)] == ["FINISHED"] * 2
    assert "test.uplift.score.mean" in ours.data.metrics
    assert not theirs.data.metrics
    place = [ours.info.experiment_id]
    assert len(client.search_traces(locations=place, run_id=ours.info.run_id)) == 3


def test_kedro_mlflow_logs_a_stored_program(tmp_path, monkeypatch):
    """The dataset in its artifact dataset: stored, loaded, and an artifact."""
    monkeypatch.syspath_prepend(tool(TOOLS / "kedro_mlflow"))
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    place = client.create_experiment("programs", str(tmp_path / "artifacts"))
    run = client.create_run(place)
    program = {"type": "po_optimizer.datasets.DSPyProgramDataset", "verify": "off"}
    entry = {
        "type": "kedro_mlflow.io.artifacts.MlflowArtifactDataset",
        "dataset": {**program, "filepath": f"{tmp_path}/program.json"},
        "run_id": run.info.run_id,
    }
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    catalog = DataCatalog.from_config({"program": entry})
    catalog.save("program", dspy.Predict("question -> answer"))
    assert type(catalog.load("program")) is dspy.Predict
    (artifact,) = client.list_artifacts(run.info.run_id)
    assert artifact.path == "program.json"


def test_run_is_told_with_its_trials_and_scores(project_run):
    """Parameters, a step for each trial, means with intervals, decision and files."""
    project, client, run = project_run
    models = project / "data/06_models/support_desk/openai-scripted"
    report = json.loads((models / "optimization_report.json").read_text())
    trials = json.loads((models / "trials.json").read_text())
    assert run.info.status == "FINISHED"
    assert run.data.params["optimize.seed"] == "9"
    history = client.get_metric_history(run.info.run_id, "trial.score")
    assert [m.value for m in history] == [trial["score"] for trial in trials]
    assert run.data.metrics["spent.paid"] == report["spent"]["paid"]
    scores = json.loads(
        next(
            (project / "data/08_reporting/support_desk").rglob("score_report.json")
        ).read_text()
    )
    uplift = scores["uplift"]["score"]
    assert run.data.metrics["test.uplift.score.mean"] == pytest.approx(uplift["mean"])
    low = run.data.metrics["test.uplift.score.low"]
    assert low == pytest.approx(uplift["interval"]["low"])
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"program", "prompt_diff.html", "report.html", "score_report.json"} <= files


def test_probe_and_worst_examples_are_traced(project_run):
    """Traces show what was asked; those of the worst examples belong to the run."""
    _, client, run = project_run
    traces = client.search_traces(locations=[run.info.experiment_id])
    own = client.search_traces(
        locations=[run.info.experiment_id], run_id=run.info.run_id
    )
    assert len(own) == 3
    assert len(traces) > len(own)
    assert any(span.span_type == "LLM" for span in own[0].data.spans)


def test_program_is_a_model_without_a_pickle(project_run):
    """MLflow loads it by our loader; its files are data."""
    project, client, run = project_run
    folder = client.download_artifacts(run.info.run_id, "program")
    endings = {path.suffix for path in Path(folder).rglob("*.*")}
    assert endings <= {".json", ".yaml", ".txt"}
    sys.path.insert(0, str(project / "roles"))
    allow = {"allowed_packages": ["support_desk"]}
    model = mlflow.pyfunc.load_model(folder, model_config=allow)
    with answering(support_desk_answer) as url:
        lm = dspy.LM("openai/scripted", api_base=url, api_key="none")
        record = {"message": "My invoice is wrong"}
        with dspy.context(lm=lm):
            (answer,) = model.predict([record])
    assert set(answer) >= {"category", "urgency"}
    with pytest.raises(PoOptimizerError, match="no LM is stored with a program"):
        model.predict([record])


def test_python_is_told_too_and_continued(server, tmp_path):
    """`with track(...)`: an optimization has a run, which the same call continues."""
    case, runs = CASES["module_level_object"], []
    program, metric = make_program(case.role(), None), load_metric(case.role())
    with serving() as lm_server:
        lm = dspy.LM("openai/scripted", api_base=lm_server.address, api_key="none")
        for seeds in ((1, 2), (2,)):
            with track(server, experiment="cities") as tracker:
                for seed in seeds:
                    result = optimize(
                        program,
                        trainset=case.split(0, 6),
                        valset=case.split(6, 12),
                        metric=metric,
                        lm=lm,
                        folder=tmp_path / str(seed),
                        num_candidates=2,
                        num_trials=2,
                        seed=seed,
                    )
                    runs.append((tracker.run_id, len(result.trials)))
                evaluate(
                    program,
                    result.program,
                    testset=case.split(12, 18),
                    metric=metric,
                    lm=lm,
                    folder=tmp_path / "2",
                )
    assert runs[0][0] != runs[1][0] == runs[2][0]
    for run_id, n_trials in runs:
        history = tracker.client.get_metric_history(run_id, "trial.score")
        assert [point.step for point in history] == [*range(1, n_trials + 1)]
    tags = tracker.client.get_run(runs[1][0]).data.tags
    assert tags["po_optimizer.decision"]


def test_unreachable_server_is_said_before_anything_is_paid():
    """The error names the setting and what MLflow says."""
    with pytest.raises(PoOptimizerError, match=r"tracking.mlflow.uri='http://127"):
        Tracker(MLflowParams(uri="http://127.0.0.1:9"))


def test_unknown_cost_is_never_zero(tmp_path):
    """The last figures of what was spent are those of the report, unknown ones too."""
    tracker = Tracker(MLflowParams(uri=f"sqlite:///{tmp_path}/mlflow.db"))
    score = {"baseline": {"score": 0.1}, "best": {"score": 0.2}}
    tracker.use_run("some-id")
    tracker._steps = {1, 7}
    for usage in (Usage(), Usage(paid=9, cost_usd=None)):
        spent = usage.model_dump()
        tracker.log_optimization(
            {"optimization_id": "some-id", "spent": spent, **score}
        )
    metrics = tracker.client.get_run(tracker.run_id).data.metrics
    assert metrics["spent.paid"] == 9
    assert math.isnan(metrics["spent.cost_usd"])
