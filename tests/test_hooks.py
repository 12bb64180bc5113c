"""What surrounds a run: LMs are bound, an early end is told, the result is shown."""

import os
import signal
from contextlib import suppress

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from po_optimizer.datasets import DSPyProgramDataset, LMDataset, WholeJSONDataset
from po_optimizer.errors import ExecutionStopError, InterruptedRunError
from po_optimizer.hooks import RunHooks
from po_optimizer.lms.stops import stop_requested
from po_optimizer.roles.build import make_program
from tests.small_role import Labeler
from tests.test_small_role import ROLE

PARAMETERS = {
    "lm": {"provider": "openai", "model": "m"},
    "role": {"program": ROLE.program},
}


def created(role=PARAMETERS["role"], **datasets):
    """A catalog that the hook has seen."""
    catalog = DataCatalog(datasets)
    given = {"parameters": {**PARAMETERS, "role": role}}
    RunHooks().after_catalog_created(catalog, given, "run-1")
    return catalog


def report(ended):
    """An optimization report that ended so."""
    return {"ended": ended, "reason": f"it was {ended}"}


def test_lm_entries_are_bound_to_the_parameters(tmp_path):
    """Both LMs know their settings before a node runs."""
    entries = {
        f"{role}_lm": LMDataset(role=role, filepath=str(tmp_path))
        for role in ("task", "prompt")
    }
    catalog = created(**entries)
    assert catalog.load("task_lm").model == "openai/m"
    assert catalog.load("prompt_lm").meter.run_id == "run-1"


def test_catalog_without_our_entries_is_left_alone():
    """A project may replace an LM entry by its own dataset."""
    assert created(task_lm=MemoryDataset("other")).load("task_lm") == "other"


@pytest.mark.parametrize("role", [ROLE, ROLE.model_dump()])
def test_package_of_the_roles_program_is_allowed(tmp_path, role):
    """Naming a role is enough: its stored programs load as its class."""
    dataset = DSPyProgramDataset(
        filepath=str(tmp_path / "program.json"), dill="off", verify="inline"
    )
    dataset.save(make_program(ROLE))
    loaded = created(role, optimized_program=dataset).load("optimized_program")
    assert isinstance(loaded, Labeler)


STARTED = {"env": None, "runtime_params": None}


def end_of_a_run(ended, hooks=None, *, releases=False):
    """The hook at the end of a run whose optimization ended so."""
    nodes = [Node(report, "how", "optimization_report", name="optimize")]
    if releases:
        nodes.append(Node(report, "why", "optimized_program", name="release"))
    catalog = DataCatalog({"optimization_report": MemoryDataset(report(ended))})
    catalog["optimized_program"] = MemoryDataset("released")
    (hooks or RunHooks()).after_pipeline_run(STARTED, Pipeline(nodes), catalog)


def test_completed_optimization_goes_on():
    """Nothing is told of what went as planned."""
    RunHooks().after_dataset_saved("trials", [])
    RunHooks().after_dataset_saved("optimization_report", report("completed"))
    end_of_a_run("completed")


def test_interrupted_optimization_ends_the_run_once_it_is_stored():
    """Ctrl-C does not go on to evaluate."""
    with pytest.raises(ExecutionStopError, match="it was interrupted"):
        RunHooks().after_dataset_saved("optimization_report", report("interrupted"))


def test_reached_budget_is_told_at_the_end():
    """The pipeline goes on with the best so far; the exit code tells."""
    RunHooks().after_dataset_saved("optimization_report", report("budget"))
    with pytest.raises(ExecutionStopError, match="it was budget") as stored:
        end_of_a_run("budget")
    assert "persist.release_program_node releases it" in str(stored.value)


def test_program_that_a_run_released_is_not_to_be_released():
    """The command would release it a second time."""
    with pytest.raises(ExecutionStopError, match="is released, and") as done:
        end_of_a_run("budget", releases=True)
    assert "kedro run" not in str(done.value)


@pytest.mark.parametrize("ending", ["after_pipeline_run", "on_pipeline_error"])
def test_servers_are_stopped_however_a_run_ends(monkeypatch, ending):
    """No embedded server outlives its run."""
    stopped = []
    monkeypatch.setattr("po_optimizer.hooks.stop_servers", lambda: stopped.append(1))
    ended = (STARTED, Pipeline([]), DataCatalog())
    getattr(RunHooks(), ending)(*ended if ending == "after_pipeline_run" else ())
    assert stopped == [1]


def begin(hooks):
    """What Kedro calls before the first node."""
    given = DataCatalog({"parameters": MemoryDataset({})})
    hooks.before_pipeline_run({"only_missing_outputs": False}, Pipeline([]), given)


@pytest.fixture
def handler():
    """Who is told of a Ctrl-C around a run; nothing is left of a test's own."""
    yield signal.getsignal(signal.SIGINT)
    stop_requested.clear()


def test_run_after_an_interrupted_one_starts_afresh(handler):
    """In a notebook both are one process, and Kedro tells no hook of a Ctrl-C."""
    hooks = RunHooks()
    begin(hooks)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(InterruptedRunError):
        hooks.before_node_run()
    begin(hooks)
    hooks.before_node_run()
    hooks.after_pipeline_run(STARTED, Pipeline([]), DataCatalog())
    assert signal.getsignal(signal.SIGINT) is handler
    assert not stop_requested.is_set()


@pytest.mark.parametrize("ended", ["completed", "budget"])
def test_signals_are_given_back_however_a_run_ends(handler, ended):
    """The next Ctrl-C, in a notebook, is about what runs then."""
    hooks = RunHooks()
    begin(hooks)
    with suppress(ExecutionStopError):
        end_of_a_run(ended, hooks)
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_in_the_last_node_is_no_success(handler):
    """A script that goes on after a success must not."""
    hooks = RunHooks()
    begin(hooks)
    stop_requested.set()
    with pytest.raises(InterruptedRunError):
        hooks.after_pipeline_run(STARTED, Pipeline([]), DataCatalog())
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("stored", "words"), [(True, "nothing is run"), (False, "only what makes made")]
)
def test_only_missing_outputs_says_what_it_does_not_do(tmp_path, caplog, stored, words):
    """Kedro asks whether outputs exist, not whether parameters changed."""
    dataset = WholeJSONDataset(filepath=str(tmp_path / "made.json"))
    if stored:
        dataset.save(1)
    catalog = DataCatalog({"made": dataset, "parameters": MemoryDataset({})})
    pipeline = Pipeline([Node(lambda: 1, None, "made", name="make")])
    hooks = RunHooks()
    hooks.before_pipeline_run({"only_missing_outputs": True}, pipeline, catalog)
    assert words in caplog.text
    caplog.clear()
    hooks.before_pipeline_run({"only_missing_outputs": False}, pipeline, catalog)
    assert "only-missing" not in caplog.text


def test_entries_of_others_are_not_made(tmp_path):
    """One that no node uses may need a package that is not installed."""
    entry = {"type": "pandas.CSVDataset", "filepath": "s3://bucket/x.csv"}
    catalog = DataCatalog.from_config({"optimized_program": entry})
    RunHooks().after_catalog_created(catalog, {"parameters": PARAMETERS}, "run-1")
    assert "optimized_program" in str(catalog._lazy_datasets)
