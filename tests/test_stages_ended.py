"""A stage that the disk or the user ends: one sentence, and nothing is lost."""

import logging
import socket
import subprocess
import threading
import time

import psutil
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from po_optimizer.cli import run as kedro_run
from po_optimizer.lms.ledger import Ledger
from tests.faces.project import (
    ENVIRONMENT,
    SLUG,
    SMALL,
    answering,
    copy_project,
    in_the_middle,
    kedro,
    kedro_begun,
    press_ctrl_c,
    product_owner_answers,
    store_no_snapshots,
)

STAGES = {
    "data_prep": "--pipeline=data_prep",
    "optimize": "--nodes=optimize.optimize_program_node",
    "persist": "--nodes=persist.release_program_node",
    "evaluate": "--nodes=evaluate.predict_programs_node",
    "integrate": "--pipeline=integrate",
}
BLOCKED = {
    "data_prep": "data/05_model_input/product_owner/valset.json",
    "optimize": f"data/06_models/product_owner/{SLUG}/optimization/trials.jsonl",
    "persist": f"data/06_models/product_owner/{SLUG}/program.json",
    "evaluate": f"data/07_model_output/product_owner/{SLUG}/baseline_predictions.jsonl",
    "integrate": "planning/product_vision.yaml",
}
"""Where each stage writes; something else stands there."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which all five stages are done."""
    project = copy_project(tmp_path_factory.mktemp("ended") / "project")
    store_no_snapshots(project)
    with answering(product_owner_answers(project)) as url:
        run = ("run", f"--env={ENVIRONMENT}", f"--params={SMALL}")
        done = kedro(project, *run, base_url=url)
    assert done.returncode == 0, done.stderr[-2000:]
    return project


def results(project):
    """What the stages made, by path, without what every run writes anew."""
    own = ("ledger", "response_cache", "run.log", ".tmp", "optimization/", "chosen_")
    files = [*(project / "data").rglob("*"), *(project / "planning").rglob("*")]
    return {
        path: path.read_bytes()
        for path in files
        if path.is_file() and not any(part in str(path) for part in own)
    }


@pytest.fixture
def typed(project, monkeypatch):
    """`kedro run` in the project and in this process; its end."""
    monkeypatch.chdir(project)
    bootstrap_project(project)

    def run(*arguments, base_url=""):
        monkeypatch.setenv("PO_LM_BASE_URL", base_url)
        monkeypatch.setenv("PO_LM_MODEL", "scripted")
        return CliRunner().invoke(kedro_run, arguments)

    yield run
    logging.shutdown()


@pytest.mark.parametrize("stage", BLOCKED)
def test_stage_that_may_not_write_says_where(project, typed, stage):
    """The path and what to do are told; what the other stages made stands."""
    path, aside = project / BLOCKED[stage], project / "aside"
    path.rename(aside)
    before = results(project)
    if aside.is_dir():
        path.write_text("in the way")
    else:
        path.mkdir()
    try:
        with answering(product_owner_answers(project)) as url:
            run = (f"--env={ENVIRONMENT}", STAGES[stage], f"--params={SMALL}")
            done = typed(*run, base_url=url)
    finally:
        path.unlink() if path.is_file() else path.rmdir()
        aside.rename(path)
    assert done.exit_code == 1, done.exception
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
    assert "move away what is in the way of" in done.stderr
    assert "untouched" in done.stderr or "is kept" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert results(project).items() >= before.items()


def test_log_that_cannot_be_written_costs_a_warning(project):
    """The run goes on; logging would show a traceback for each line."""
    log = project / "data/08_reporting/run.log"
    log.unlink()
    log.mkdir()
    done = kedro(project, "run", "--pipeline=data_prep")
    log.rmdir()
    assert done.returncode == 0
    assert done.stdout.count("run.log cannot be written: Is a directory") == 1
    assert "Traceback" not in done.stdout + done.stderr


def begun(project, stage, url, **more):
    """A run of one stage, with LM parameters for which no answer is kept."""
    more |= {"lm.temperature": time.time() % 1, "optimize.on_change": "restart"}
    params = ",".join([SMALL, *(f"{name}={value}" for name, value in more.items())])
    command = ["run", f"--env={ENVIRONMENT}", STAGES[stage], f"--params={params}"]
    return kedro_begun(project, *command, base_url=url)


def n_paid(project):
    """LM calls in all ledgers."""
    ledgers = (project / "data").rglob("ledger.sqlite")
    return sum(Ledger(path).totals().paid for path in ledgers)


def check_it_says_what_is_kept(run):
    """The shell's code and one sentence; gives the log lines."""
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, out + err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert "same command resumes" in err
    assert "kept" in err
    assert "Traceback" not in out + err
    return out


@pytest.mark.parametrize("stage", ["optimize", "evaluate", "integrate"])
def test_ctrl_c_finishes_the_calls_in_flight(project, stage):
    """Their answers are kept, and the results stand."""
    before, n_before = results(project), n_paid(project)
    asked = []

    def slowly(prompt):
        asked.append(prompt)
        time.sleep(0.5)
        return product_owner_answers(project)(prompt)

    with answering(slowly) as url:
        run = begun(project, stage, url, **{"lm.num_threads": 1})
        in_the_middle(run, lambda: asked)
        press_ctrl_c(run)
        out = check_it_says_what_is_kept(run)
    assert results(project).items() >= before.items()
    assert "the LM calls in flight are finished" in out
    assert n_paid(project) - n_before == len(asked)


def test_ctrl_c_while_records_are_read(project):
    """Nothing is asked yet, so nothing is waited for."""
    before = results(project)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        records = f"http://127.0.0.1:{port}/records.jsonl"
        run = begun(project, "data_prep", "http://127.0.0.1:9", raw_records=records)
        connection, _ = silent.accept()  # which waits for an answer
        with connection:
            press_ctrl_c(run)
            check_it_says_what_is_kept(run)
    assert results(project) == before


def test_ctrl_c_while_a_program_is_verified(project):
    """The process that reads it back ends too."""
    before = results(project)
    run = begun(project, "persist", "http://127.0.0.1:9")
    in_the_middle(run, lambda: verifiers(run))
    processes = verifiers(run)
    press_ctrl_c(run)
    check_it_says_what_is_kept(run)
    assert processes
    assert not psutil.wait_procs(processes, timeout=10)[1]
    assert results(project).items() >= before.items()


def verifiers(run):
    """The processes that read a program back."""
    children = psutil.Process(run.pid).children(recursive=True)
    return [one for one in children if "verify" in " ".join(one.cmdline())]


@pytest.mark.parametrize(
    "stage",
    [
        "optimize",
        pytest.param("evaluate", marks=pytest.mark.exhaustive),
        pytest.param("integrate", marks=pytest.mark.exhaustive),
    ],
)
def test_second_ctrl_c_leaves_at_once(project, stage):
    """The calls in flight are given up."""
    before, asked, end = results(project), [], threading.Event()

    def never(prompt):
        asked.append(prompt)
        end.wait(120)
        return ""

    with answering(never) as url:
        run = begun(project, stage, url)
        in_the_middle(run, lambda: asked)
        press_ctrl_c(run)
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(2)
        press_ctrl_c(run)
        check_it_says_what_is_kept(run)
        end.set()
    assert results(project) == before
