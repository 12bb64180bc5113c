"""A sweep's tasks, and what is said of clusters that cannot be used."""

import sys
from types import SimpleNamespace

import pytest
from distributed import KilledWorker, LocalCluster

from po_optimizer.errors import (
    ExecutionStopError,
    PoOptimizerError,
    SettingError,
)
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.meter import Meter, in_use
from po_optimizer.lms.stops import LMUnreachable, stop_requested
from po_optimizer.params.project import SweepParams
from po_optimizer.pipelines.sweep import nodes
from po_optimizer.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS
from po_optimizer.sweep import run, sessions
from po_optimizer.sweep.run import run_sweep
from po_optimizer.sweep.sessions import (
    SessionEnd,
    SessionPlugin,
    run_session,
    stop_sessions,
)
from po_optimizer.sweep.tasks import SessionTask, make_tasks
from tests.faces.project import ROOT

TASK = SessionTask("a", "sweep-1", "po_optimizer", ROOT, None, str(ROOT / "conf"), {})


GIVEN = {"optimize": {"seed": 1, "optimizer": "gepa"}}


def context_of(runtime_params):
    """A session's context, as far as it is looked at."""
    loader = CONFIG_LOADER_CLASS(
        str(ROOT / "conf"), None, runtime_params, **CONFIG_LOADER_ARGS
    )
    return SimpleNamespace(project_path=ROOT, env=None, config_loader=loader)


def session_of(task):
    """A session that is not run; its parameters are checked."""

    def load_context():
        context = context_of(task.runtime_params)
        context.config_loader.checked_parameters()
        return context

    return SimpleNamespace(load_context=load_context)


def tasks_of(*configurations):
    """The tasks of a sweep with these configurations, by name."""
    sweep = SweepParams(configurations=list(configurations))
    return {task.name: task for task in make_tasks(sweep, context_of(GIVEN))}


@pytest.fixture(autouse=True)
def package(monkeypatch):
    """The package that Kedro would have configured; no sweep has been stopped."""
    monkeypatch.setattr("kedro.framework.project.PACKAGE_NAME", "po_optimizer")
    monkeypatch.setattr(SessionTask, "session", session_of)
    monkeypatch.setattr(sessions, "_stopped_sweeps", set())
    monkeypatch.setattr(run, "_SECONDS_TO_CONNECT", 1)
    yield
    stop_requested.clear()


def test_configuration_has_the_rest_under_what_differs():
    """Its own keys go over those of the run; each has a folder of its own."""
    tasks = tasks_of({"name": "a"}, {"name": "b", "optimize": {"seed": 2}})
    mine = tasks["b"].runtime_params
    assert mine["optimize"] == {"seed": 2, "optimizer": "gepa"}
    assert tasks["a"].runtime_params["optimize"]["seed"] == 1
    assert [task.runtime_params["sweep_folder"] for task in tasks.values()] == [
        "/sweep/a",
        "/sweep/b",
    ]
    assert GIVEN["optimize"]["seed"] == 1


def test_configurations_are_judged_together():
    """Each knows among how many; the same list again has the same name."""
    judged = [
        task.runtime_params["promotion"]
        for _ in range(2)
        for task in tasks_of({"name": "a"}, {"name": "b"}).values()
    ]
    assert {promotion["num_compared"] for promotion in judged} == {2}
    assert len({promotion["compared_in"] for promotion in judged}) == 1


@pytest.mark.parametrize(
    "data_prep", [{"sizes": {"test": 9}}, {"seed": 1}, {"near_duplicate_similarity": 1}]
)
def test_configuration_may_not_change_the_testset(data_prep):
    """Scores on different examples are not ranked."""
    with pytest.raises(SettingError, match="one testset"):
        tasks_of({"name": "a", "data_prep": data_prep})


def test_configuration_may_change_train_and_val_sizes():
    """They follow the testset in the order of the records."""
    task = tasks_of({"name": "a", "data_prep": {"sizes": {"train": 9, "val": 5}}})["a"]
    assert task.runtime_params["data_prep"]["sizes"] == {"train": 9, "val": 5}


def test_wrong_parameters_are_told_before_anything_is_run():
    """The error names the configurations, and says what is wrong with each."""
    wrong = {"name": "b", "optimize": {"sed": 1}}
    with pytest.raises(PoOptimizerError, match=r"1 of 2 .*\n- b: .*sed.*mean seed"):
        tasks_of({"name": "a"}, wrong)


@pytest.mark.parametrize(
    "configurations",
    [
        [{"name": "a"}, {"name": "a"}],
        [{"name": "a.b"}],
        [{"name": "a", "nosuch": 1}],
        [{}],
    ],
)
def test_unusable_configurations_are_refused(configurations):
    """A name twice, one that is no name, an unknown key."""
    with pytest.raises(ValueError, match=r"SweepParams|SweepConfiguration"):
        SweepParams(configurations=configurations)


def test_empty_sweep_is_told():
    """It would rank what was there before."""
    with pytest.raises(SettingError, match=r"sweep\.configurations.*none to run"):
        tasks_of()


def test_dask_is_needed_by_a_sweep_alone(monkeypatch):
    """Without the extra one error says what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "po_optimizer.sweep.run")
    with pytest.raises(PoOptimizerError, match=r"needs the extra dask"):
        nodes.run_configurations(SweepParams(), context_of(GIVEN))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "ftp://a:1"])
def test_address_without_a_scheduler_is_told(address):
    """Nothing there, no address: one error with the command that starts one."""
    sweep = SweepParams(configurations=[{"name": "a"}], scheduler=address)
    with pytest.raises(SettingError, match=r"sweep\.scheduler=.*dask scheduler"):
        run_sweep(sweep, context_of(GIVEN))


def test_workers_that_do_not_start_are_no_lost_scheduler(monkeypatch):
    """There is none but that of this machine."""

    def killed(_sweep):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(run, "_local_cluster", killed)
    sweep = SweepParams(configurations=[{"name": "a"}])
    with pytest.raises(SettingError, match=r"sweep\.workers=1 .*Nanny failed to start"):
        run_sweep(sweep, context_of({}))


def test_scheduler_without_workers_is_told():
    """The error has the command that starts some."""
    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp", dashboard_address=None
        ) as empty,
        pytest.raises(SettingError, match="no worker has joined"),
    ):
        address = empty.scheduler_address
        sweep = SweepParams(configurations=[{"name": "a"}], scheduler=address)
        run_sweep(sweep, context_of(GIVEN))


def ended(monkeypatch, error):
    """How a session ends whose run raises this."""

    class Session:
        def run(self, **_):
            raise error

    monkeypatch.setattr(SessionTask, "session", lambda task: Session())
    return run_session(TASK)


def test_failure_is_handed_over_in_words(monkeypatch):
    """The sentence and the exit code of ours; the traceback of a defect."""
    end = ended(monkeypatch, SettingError("a", 1, "b", "c"))
    assert (end.error, end.exit_code) == ("a=1 cannot be used: b. c", 1)
    assert "gave no answer" in ended(monkeypatch, LMUnreachable("lm", "x", "y")).error
    assert "Traceback" in ended(monkeypatch, KeyError("defect")).error


def test_reached_budget_is_no_failure(monkeypatch):
    """The configuration has a program and its scores; the exit code tells."""
    end = ended(monkeypatch, ExecutionStopError("max_calls"))
    assert end.error is None
    assert "max_calls" in end.ended_early


def test_failed_configurations_leave_the_others_alone(monkeypatch):
    """Every failure is named at the end, with the exit code of all."""
    ends = [SessionEnd("a", error="it broke", exit_code=4), SessionEnd("b")]
    monkeypatch.setattr(run, "_run_all", lambda client, tasks: ends)
    monkeypatch.setattr(run, "_connected", lambda sweep, task: LocalClient())
    sweep = SweepParams(configurations=[{"name": "a"}, {"name": "b"}])
    with pytest.raises(PoOptimizerError, match=r"1 of 2 .*\n- a: it broke") as failed:
        run_sweep(sweep, context_of(GIVEN))
    assert failed.value.exit_code == 4


class LocalClient:
    """A cluster that is not needed."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


def test_stopped_sweep_pays_for_no_further_call(tmp_path):
    """LMs in use refuse paid calls; what has not begun does not begin."""
    meter = Meter(Ledger(tmp_path / "ledger.sqlite"), "run-2", "slug")
    with in_use(meter):
        meter.check()
        stop_sessions("sweep-1")
        with pytest.raises(BaseException, match="interrupted by the user"):
            meter.check()
    assert "interrupted by the user" in run_session(TASK).error


def test_lost_client_stops_its_sweep_and_no_other():
    """Dask releases the tasks of a client that is gone while they run."""
    plugin = SessionPlugin(TASK, ours=False)
    plugin.transition("other-a", "executing", "released")
    plugin.transition("sweep-1-a", "executing", "memory")
    assert not stop_requested.is_set()
    plugin.transition("sweep-1-a", "executing", "released")
    assert stop_requested.is_set()


def test_configuration_that_ends_every_worker_is_told():
    """After as many as Dask allows its end names the usual reason."""

    def result():
        raise KilledWorker("sweep-1-a", None, 3)

    end = run._result(None, SimpleNamespace(result=result), "a")
    assert "all 4 workers that tried it died. The usual reason is memory" in end.error
