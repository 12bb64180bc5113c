"""A stage that the disk or the user ends: one sentence, and nothing is lost."""

import os
import signal
import threading
import time

import psutil
import pytest

from tests.faces.project import (
    ENVIRONMENT,
    SLUG,
    answering,
    copy_project,
    kedro,
    kedro_begun,
    product_owner_answers,
)

SMALL = ",".join(
    [
        "data_prep.sizes.train=2",
        "data_prep.sizes.val=2",
        "data_prep.sizes.test=2",
        "optimize.miprov2.num_candidates=2",
        "optimize.miprov2.num_trials=1",
    ]
)
STAGES = {
    "data_prep": "--pipeline=data_prep",
    "optimize": "--nodes=optimize.optimize_program_node",
    "persist": "--nodes=persist.release_program_node",
    "evaluate": "--nodes=evaluate.predict_both_node",
    "integrate": "--pipeline=integrate",
}
BLOCKED = {
    "data_prep": "data/05_model_input/valset.json",
    "optimize": f"data/06_models/{SLUG}/optimization/trials.jsonl",
    "persist": f"data/06_models/{SLUG}/program.json",
    "evaluate": f"data/07_model_output/{SLUG}/baseline_predictions.jsonl",
    "integrate": "planning/product_vision.yaml",
}
"""Where each stage writes; something else stands there."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which all five stages are done."""
    project = copy_project(tmp_path_factory.mktemp("ended") / "project")
    with answering(product_owner_answers(project)) as url:
        run = ("run", f"--env={ENVIRONMENT}", f"--params={SMALL}")
        done = kedro(project, *run, base_url=url)
    assert done.returncode == 0, done.stderr[-2000:]
    return project


def results(project):
    """What the stages made, by path, without what every run writes anew."""
    own = ("ledger", "response_cache", "run.log", ".part", "optimization/", "chosen_")
    files = [*(project / "data").rglob("*"), *(project / "planning").rglob("*")]
    return {
        path: path.read_bytes()
        for path in files
        if path.is_file() and not any(part in str(path) for part in own)
    }


@pytest.mark.parametrize("stage", BLOCKED)
def test_stage_that_may_not_write_says_where(project, stage):
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
            run = ("run", f"--env={ENVIRONMENT}", STAGES[stage], f"--params={SMALL}")
            done = kedro(project, *run, base_url=url)
    finally:
        path.unlink() if path.is_file() else path.rmdir()
        aside.rename(path)
    assert done.returncode == 1
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


def in_the_middle(run, asked):
    """Waits until the stage is at its work: it asks the LM, or verifies."""
    deadline = time.monotonic() + 60
    while run.poll() is None and time.monotonic() < deadline:
        if asked.is_set() or psutil.Process(run.pid).children():
            return
        time.sleep(0.02)


@pytest.mark.parametrize("stage", [one for one in STAGES if one != "data_prep"])
def test_ctrl_c_says_what_is_kept(project, stage):
    """The shell's code, one sentence, no process left, and the results stand."""
    before, asked = results(project), threading.Event()

    def slowly(prompt):
        asked.set()
        time.sleep(0.5)
        return product_owner_answers(project)(prompt)

    with answering(slowly) as url:
        run = begun(project, stage, url)
        in_the_middle(run, asked)
        processes = psutil.Process(run.pid).children(recursive=True)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130, out + err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert "same command resumes" in err
    assert "kept" in err
    assert "Traceback" not in out + err
    assert not psutil.wait_procs(processes, timeout=10)[1]
    assert results(project).items() >= before.items()


def begun(project, stage, url):
    """A run of one stage, with LM parameters for which no answer is kept."""
    more = f"{SMALL},lm.temperature=0.1,optimize.on_change=restart"
    command = ["run", f"--env={ENVIRONMENT}", STAGES[stage], f"--params={more}"]
    return kedro_begun(project, *command, base_url=url)
