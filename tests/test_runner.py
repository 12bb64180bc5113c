"""Nodes on a Dask cluster: what arrives there, what comes back, what survives."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import cloudpickle
import dask
import psutil
import pytest
from distributed import Client, LocalCluster
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline, pipeline
from kedro.runner import Task

from po_optimizer.datasets import LMDataset, WholeJSONDataset
from po_optimizer.errors import (
    BelowBoundError,
    DataError,
    EndedEarlyError,
    MemoryOnlyError,
    MissingPackageError,
    NoClusterError,
    NodesFailedError,
    NotPortableError,
    PoOptimizerError,
    RunnerParamsError,
    WorkerDiedError,
)
from po_optimizer.lms import Ledger, LMUnreachable, Meter
from po_optimizer.runner import DaskRunner, on_worker
from po_optimizer.runner.on_worker import (
    EndGuard,
    NodeWork,
    ProjectPlugin,
    end_run,
    run_node,
)
from tests import cluster as nodes
from tests.cluster import cluster, workers
from tests.faces.project import (
    ENVIRONMENT,
    ROOT,
    SLUG,
    answering,
    copy_project,
    in_the_middle,
    kedro,
    kedro_begun,
    press_ctrl_c,
    product_owner_answers,
)

ON_DASK = "--runner=po_optimizer.runner.DaskRunner"


@pytest.fixture(autouse=True)
def package(monkeypatch):
    """The package that Kedro would have configured."""
    monkeypatch.setattr("kedro.framework.project.PACKAGE_NAME", "po_optimizer")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A scheduler with two worker processes, shared by the tests."""
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as address:
        yield address


def number(folder, name):
    """A catalog entry for a number."""
    return WholeJSONDataset(filepath=str(folder / f"{name}.json"))


def chain(*functions):
    """Nodes in a row, from `a` to `b` to `c` ..., named by their functions."""
    letters = "abcdef"
    return Pipeline(
        [
            Node(function, letters[i], letters[i + 1], name=function.__name__)
            for i, function in enumerate(functions)
        ]
    )


def entries(where, /, *names, **inputs):
    """A catalog of numbers on the disk; inputs are given."""
    given = {name: MemoryDataset(value) for name, value in inputs.items()}
    return DataCatalog({**given, **{name: number(where, name) for name in names}})


def run_on(address, pipeline, catalog, **params):
    """Runs it as a session would."""
    DaskRunner(address=address, **params).run(pipeline, catalog, run_id="run-1")


def ended(function, *, run="run-1", **inputs):
    """What a worker hands back after a node that runs the function."""
    node = Node(function, inputs=list(inputs), outputs=None, name="node")
    task = Task(node, entries(None, **inputs), is_async=False)
    return run_node(NodeWork(run, cloudpickle.dumps(task)))


# --- before anything runs


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (
            {"adress": "tcp://127.0.0.1:8786"},
            r"adress: not known \(did you mean address\?\)",
        ),
        ({"num_workers": 0}, "num_workers: Input should be greater than 0"),
        ({"keep_going": "perhaps"}, "keep_going: Input should be a valid boolean"),
        ({"address": "tcp://a:1", "num_workers": 2}, "has its own workers"),
    ],
)
def test_wrong_runner_params_are_told(params, told):
    """A typo, a wrong value and what does not fit together; the error lists all."""
    with pytest.raises(RunnerParamsError, match=told) as refused:
        DaskRunner(**params)
    assert "address, num_workers, keep_going, timeout_seconds" in str(refused.value)


def test_dask_is_needed_by_its_runner_alone(monkeypatch):
    """Without the extra one error says what to install; the module still imports."""
    code = "import po_optimizer.runner, sys; sys.exit('distributed' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)  # noqa: S603
    monkeypatch.setattr("po_optimizer.runner.dask_runner.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install distributed"):
        DaskRunner()


def test_intermediates_outside_the_catalog_are_refused(tmp_path):
    """One error names them all; no cluster is even looked for."""
    catalog = entries(tmp_path, "d", a=1)
    with pytest.raises(MemoryOnlyError, match=r"2 live\(s\) in memory only: b, c\."):
        run_on(
            "tcp://127.0.0.1:1", chain(nodes.add_one, nodes.miss, nodes.divide), catalog
        )


def test_node_that_cannot_travel_is_named(tmp_path):
    """A lock in a node's function or in the catalog is found before the run."""
    lock = threading.Lock()

    def locked(number):
        return lock and number

    with pytest.raises(NotPortableError, match="node locked cannot be sent"):
        run_on("tcp://127.0.0.1:1", chain(locked), entries(tmp_path, "b", a=1))


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "nonsense", "tls://127.0.0.1:1", "ftp://a:1"]
)
def test_address_without_a_scheduler_is_told(tmp_path, address):
    """Nothing there, no address, no certificates: one error with the address."""
    with pytest.raises(NoClusterError, match=f"address='{address}' cannot be used"):
        run_on(
            address,
            chain(nodes.add_one),
            entries(tmp_path, "b", a=1),
            timeout_seconds=1,
        )


def test_address_of_a_worker_is_told(address, tmp_path):
    """It answers, but it is no scheduler."""
    with Client(address, set_as_default=False) as client:
        worker = next(iter(client.scheduler_info()["workers"]))
    with pytest.raises(NoClusterError, match=r"no Dask scheduler answers.*Worker"):
        run_on(worker, chain(nodes.add_one), entries(tmp_path, "b", a=1))


def test_scheduler_without_workers_is_told(tmp_path):
    """The error has the command that starts some."""
    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp", dashboard_address=None
        ) as empty,
        pytest.raises(NoClusterError, match=r"no worker joined.*dask worker tcp://"),
    ):
        run_on(
            empty.scheduler_address,
            chain(nodes.add_one),
            entries(tmp_path, "b", a=1),
            timeout_seconds=1,
        )


def test_workers_without_the_project_are_told(address, tmp_path, monkeypatch):
    """A cluster that others set up may not have the project's package."""
    monkeypatch.setattr("kedro.framework.project.PACKAGE_NAME", "no_such_project")
    with pytest.raises(NoClusterError, match=r"cannot load the project.*no_such"):
        run_on(address, chain(nodes.add_one), entries(tmp_path, "b", a=1))


# --- on a worker, tried in this process


def test_failure_is_handed_over_with_its_cause():
    """Class, sentence, exit code, cause and traceback arrive at the client."""
    error = pickle.loads(ended(nodes.miss, number=1).error)  # noqa: S301 -- ours
    assert isinstance(error, BelowBoundError)
    assert error.exit_code == 4
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert error.__traceback__ is not None


def test_stop_of_a_run_is_handed_over_as_an_error():
    """A BaseException would end the worker's thread; its sentence is what counts."""

    def stop(number):
        raise LMUnreachable("slug", "here", "refused")

    error = pickle.loads(ended(stop, number=1).error)  # noqa: S301 -- ours
    assert type(error) is PoOptimizerError
    assert "the LM slug at here gave no answer: refused" in str(error)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [(DataError("a", 1, "b", "c"), PoOptimizerError), (None, RuntimeError)],
)
def test_failure_that_cannot_travel_is_told_in_words(cause, kind):
    """A library's error may hold a connection; what it says is not lost."""

    def fail(number):
        error = LookupError("the far end")
        error.connection = threading.Lock()
        raise error from cause

    error = pickle.loads(ended(fail, number=1).error)  # noqa: S301 -- ours
    assert type(error) is kind
    assert ("a=1 cannot be used" if cause else "the far end") in str(error)


def test_ended_run_pays_for_no_further_call(tmp_path):
    """An LM that a node loads refuses paid calls once its run has ended."""
    meter = Meter(Ledger(tmp_path / "ledger.sqlite"), "run-2", "slug")
    guard = EndGuard("run-2")
    guard.after_dataset_loaded(data=type("LM", (), {"meter": meter}))
    guard.after_dataset_loaded(data=[1])
    meter.check()
    end_run("run-2", "another node failed")
    with pytest.raises(BaseException, match="another node failed"):
        meter.check()
    error = pickle.loads(ended(nodes.add_one, run="run-2", number=1).error)  # noqa: S301
    assert "another node failed" in str(error)


def test_lost_client_ends_its_run_and_no_other():
    """Dask releases the tasks of a client that is gone while they run."""
    plugin = ProjectPlugin("po_optimizer", "run-3", ours=False)
    plugin.transition(("other", 1), "executing", "released")
    plugin.transition("node-run-3", "executing", "memory")
    EndGuard("run-3").check()
    plugin.transition("node-run-3", "executing", "released")
    with pytest.raises(BaseException, match="the run's client is gone"):
        EndGuard("run-3").check()


@pytest.mark.parametrize(
    ("running", "stops"), [([], 1), (["run-4"], 1), (["run-5"], 0)]
)
def test_embedded_servers_end_with_the_run(monkeypatch, running, stops):
    """A worker keeps them only for another run's node."""
    stopped = []
    monkeypatch.setattr("po_optimizer.lms.stop_servers", lambda: stopped.append(1))
    monkeypatch.setattr(on_worker, "_running", running)
    ProjectPlugin("po_optimizer", "run-4", ours=False).teardown(None)
    assert len(stopped) == stops


# --- on a cluster


def test_nodes_meet_in_the_catalog(address, tmp_path):
    """Factory patterns and namespaced parameters are entries like others."""
    stage = pipeline(
        chain(nodes.add_one, nodes.add_another),
        inputs={"a": "params:one.a"},
        namespace="one",
    )
    pattern = {
        "type": "po_optimizer.datasets.WholeJSONDataset",
        "filepath": str(tmp_path / "{space}" / "{name}.json"),
    }
    catalog = DataCatalog.from_config({"{space}.{name}": pattern})
    catalog["params:one.a"] = MemoryDataset(1)
    run_on(address, stage, catalog)
    assert catalog.load("one.c") == 3
    assert json.loads((tmp_path / "one" / "b.json").read_text()) == 2


def meeting(folder):
    """Two nodes that wait for each other, and their catalog."""
    both = Pipeline(
        [
            Node(nodes.meet, ["folder", "x", "y"], "left", name="left"),
            Node(nodes.meet, ["folder", "y", "x"], "right", name="right"),
        ]
    )
    given = {"folder": str(folder), "x": "x", "y": "y"}
    return both, entries(folder, "left", "right", **given)


def test_independent_nodes_run_at_the_same_time(address, tmp_path):
    """Each waits for the other, in a process of its own; neither is the client."""
    both, catalog = meeting(tmp_path)
    run_on(address, both, catalog)
    processes = {catalog.load("left"), catalog.load("right"), os.getpid()}
    assert len(processes) == 3


def test_worker_that_joins_in_mid_run_gets_a_node(tmp_path):
    """The run waits for nothing else: its only worker's node waits for the other."""
    both, catalog = meeting(tmp_path)
    folder, end = tmp_path / "cluster", threading.Event()

    def join_late():
        nodes.wait_for(tmp_path / "x")
        with workers(folder, 1):
            end.wait(60)

    thread = threading.Thread(target=join_late)
    with cluster(folder, 1) as address:
        thread.start()
        run_on(address, both, catalog)
        end.set()
        thread.join()
    assert catalog.load("left") != catalog.load("right")


def test_hooks_of_the_project_are_called_on_the_workers(address, tmp_path):
    """What our hook raises when a report is saved arrives with its exit code."""
    node = Node(nodes.interrupted, "a", "optimization_report", name="optimize")
    with pytest.raises(EndedEarlyError, match="interrupted by the user") as ended:
        run_on(address, Pipeline([node]), entries(tmp_path, "optimization_report", a=1))
    assert ended.value.exit_code == 3


def test_first_failure_ends_what_runs_at_its_next_call(address, tmp_path):
    """Nothing new is begun; the LM in use is paid for no more than a few calls."""
    with answering(lambda prompt: time.sleep(0.2) or "the next") as url:
        lm = LMDataset(role="task", filepath=str(tmp_path))
        lm.bind({"lm": {"provider": "openai", "model": "m", "api_base": url}}, "run-1")
        catalog = entries(tmp_path, "asked", "failed", "after", folder=str(tmp_path))
        catalog["lm"] = lm
        both = Pipeline(
            [
                Node(nodes.ask, ["lm", "folder"], "answers", name="ask"),
                Node(nodes.refuse_later, "folder", "failed", name="refuse"),
                Node(nodes.add_one, "failed", "after", name="after"),
            ]
        )
        catalog["answers"] = number(tmp_path, "answers")
        with pytest.raises(DataError, match="number=0 cannot be used"):
            run_on(address, both, catalog)
    paid = Ledger(tmp_path / "openai-m" / "ledger.sqlite").totals().paid
    assert 1 <= paid < 20
    assert not (tmp_path / "answers.json").exists()
    assert not (tmp_path / "after.json").exists()


def test_going_on_runs_all_that_does_not_depend_on_failures(address, tmp_path):
    """Every failure is named at the end, and what was left out because of it."""
    every = Pipeline(
        [
            Node(nodes.miss, "a", "missed", name="miss"),
            Node(nodes.divide, "a", "divided", name="divide"),
            Node(nodes.add_one, "missed", "never", name="never"),
            Node(nodes.add_one, "a", "b", name="first"),
            Node(nodes.add_one, "b", "c", name="second"),
        ]
    )
    names = ("missed", "divided", "never", "b", "c")
    with pytest.raises(NodesFailedError) as failed:
        run_on(address, every, entries(tmp_path, *names, a=1), keep_going=True)
    sentence = str(failed.value)
    assert sentence.startswith("2 node(s) failed; all that does not depend on them")
    assert "node miss: evaluate.fail_below.rubric=0.9 is not met" in sentence
    assert "node divide: ZeroDivisionError" in sentence
    assert "1 node(s) that need them did not run: never" in sentence
    assert failed.value.exit_code == 1
    assert json.loads((tmp_path / "c.json").read_text()) == 3


def test_node_that_ends_every_worker_is_told(tmp_path):
    """After as many as Dask allows one error names the node and the usual reason."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        pytest.raises(WorkerDiedError, match=r"node lose: all 2 workers.*memory"),
    ):
        run_on(None, chain(nodes.lose), entries(tmp_path, "b", a=1), num_workers=1)


# --- the command


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of its own."""
    return copy_project(tmp_path_factory.mktemp("runner") / "project")


def test_error_of_a_worker_is_the_commands_one_sentence(address, project):
    """As with every runner: one line on stderr, exit code 1, no traceback."""
    (project / "empty.jsonl").write_text("")
    done = kedro(
        project,
        "run",
        "--pipeline=data_prep",
        "--params=raw_records=empty.jsonl",
        ON_DASK,
        f"--runner-params=address={address}",
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: raw_records=")
    assert done.stderr.count("\n") == 1
    assert (
        "node data_prep.check_raw_records_node: ended with an error on" in done.stdout
    )


def test_killed_worker_costs_the_call_it_held(tmp_path):
    """Five stages on four workers, one killed: no answered call is paid again."""
    project = copy_project(tmp_path / "project")
    answer, asked = product_owner_answers(project), []
    with (
        cluster(tmp_path / "cluster", 4) as address,
        Client(address, set_as_default=False) as observer,
    ):
        processes = observer.run(os.getpid)

        def answer_or_kill(prompt):
            asked.append(prompt)
            if len(asked) == 10:  # the optimization's sixth call
                busy = [
                    worker for worker, keys in observer.processing().items() if keys
                ]
                os.kill(processes[busy[0]], signal.SIGKILL)
            return answer(prompt)

        with answering(answer_or_kill) as url:
            done = kedro(
                project,
                "run",
                f"--env={ENVIRONMENT}",
                "--params=lm.num_threads=1",
                ON_DASK,
                f"--runner-params=address={address}",
                base_url=url,
            )
    assert done.returncode == 0, done.stderr
    assert "runs again: optimize.optimize_program_node" in done.stdout
    assert "done, 14 of 14" in done.stdout
    ledger = Ledger(project / "data/07_model_output" / SLUG / "ledger.sqlite").totals()
    assert ledger.failed == 0
    assert ledger.paid == len(set(asked)) == len(asked) - 1
    assert Counter(asked)[asked[9]] == 2
    told = done.stdout + done.stderr
    logs = "".join(path.read_text() for path in (tmp_path / "cluster").glob("*.log"))
    assert "canary-not-a-key" not in told + logs


def test_ctrl_c_ends_the_workers_in_order(project):
    """The call in flight is finished and kept; then no process and no call is left."""
    answer, asked = product_owner_answers(project), []

    def slowly(prompt):
        asked.append(prompt)
        time.sleep(0.3)
        return answer(prompt)

    with answering(slowly) as url:
        run = kedro_begun(
            project,
            "run",
            f"--env={ENVIRONMENT}",
            ON_DASK,
            "--runner-params=num_workers=2",
            "--params=lm.num_threads=1",
            base_url=url,
        )
        in_the_middle(run, lambda: len(asked) >= 8)
        processes = psutil.Process(run.pid).children(recursive=True)
        press_ctrl_c(run)  # the workers get it too
        out, err = run.communicate(timeout=60)
        calls = len(asked)
        time.sleep(1)
    assert run.returncode == EndedEarlyError.exit_code, out + err
    assert err.startswith(
        "Error: the optimization ended early: interrupted by the user"
    )
    assert len(processes) >= 2
    assert not psutil.wait_procs(processes, timeout=10)[1]
    ledger = Ledger(project / "data/07_model_output" / SLUG / "ledger.sqlite").totals()
    assert ledger.paid == calls == len(asked)
    assert (project / "data/06_models" / SLUG / "candidate_program.json").is_file()
