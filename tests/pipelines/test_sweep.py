"""A sweep's sessions on Dask's workers, and a stored program on another LM."""

import json
import os
import re
import signal
import time
from collections import Counter

import psutil
import pytest
from distributed import Client

from po_optimizer.errors import InterruptedRunError
from po_optimizer.lms.ledger import Ledger
from tests.cluster import cluster
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

RUN = ("run", f"--env={ENVIRONMENT}")
FEW = (
    f"{SMALL},lm.num_threads=1,"
    "optimize.bootstrap_random_search.num_candidate_programs=1"
)
ROLE = "product_owner"
NAMES = {"seed_9", "random_search"}
LEDGER = f"data/07_model_output/{ROLE}/{SLUG}/ledger.sqlite"


def project_in(folder):
    """A project with a sweep of two, verified in the process that saves."""
    project = copy_project(folder / "project")
    store_no_snapshots(project, verify="inline")
    settings = project / "conf/base/parameters_sweep.yml"
    text = settings.read_text()
    second = "    - name: seed_10\n      optimize: {seed: 10}\n"
    assert second in text
    settings.write_text(text.replace(second, ""))
    return project


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep on a cluster of two workers, one of which is killed at the tenth call.

    The project, what the command printed, the prompts that the LM was asked.
    """
    folder = tmp_path_factory.mktemp("sweep")
    project = project_in(folder)
    answer, asked = product_owner_answers(project), []
    with (
        cluster(folder / "cluster", 2) as address,
        Client(address, set_as_default=False) as observer,
    ):
        processes = observer.run(os.getpid)

        def answer_or_kill(prompt):
            asked.append(prompt)
            if len(asked) == 10:
                busy = [
                    worker for worker, keys in observer.processing().items() if keys
                ]
                os.kill(processes[busy[0]], signal.SIGKILL)
            return answer(prompt)

        with answering(answer_or_kill) as url:
            # the workers are older than the server: its address goes with the sweep
            lm = f"lm.api_base={url},lm.model=scripted"
            done = kedro(
                project,
                *RUN,
                "--pipeline=sweep",
                f"--params={FEW},{lm},sweep.scheduler={address}",
                base_url=url,
                most_seconds=900,
            )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return project, done.stdout + done.stderr, asked


def test_every_configuration_is_stored_and_ranked(swept):
    """Each in a folder of its own; one ranking has them all."""
    project, printed, _ = swept
    folder = project / f"data/06_models/{ROLE}/{SLUG}/sweep"
    assert {path.parent.name for path in folder.glob("*/program.json")} == NAMES
    ranking = json.loads(
        (project / f"data/08_reporting/{ROLE}/ranking.json").read_text()
    )
    runs = {run["name"] for run in ranking["runs"] if run["ranked"]}
    assert runs == {f"{SLUG}/sweep/{name}" for name in NAMES}
    assert "95% intervals" in printed
    reports = (project / f"data/08_reporting/{ROLE}/{SLUG}/sweep").glob(
        "*/score_report.json"
    )
    judged = [json.loads(path.read_text())["judgement"] for path in reports]
    assert {(one["place"], one["among"]) for one in judged} == {(1, 2)}


def test_killed_worker_costs_the_call_it_held(swept):
    """Its configuration runs again; what was asked and not paid is that call."""
    project, printed, asked = swept
    begun = Counter(re.findall(r"(\w+): begun by process", printed))
    assert set(begun) == NAMES
    assert begun.total() >= len(NAMES) + 1
    totals = Ledger(project / LEDGER).totals()
    assert totals.failed == 0
    assert len(asked) - 1 <= totals.paid <= len(asked)


def test_log_says_which_configuration_it_is_about(swept):
    """Several sessions at a time can be told apart; their summaries are left out."""
    _, printed, _ = swept
    for name in NAMES:
        assert f"{name}: trial 1 baseline" in printed
        assert re.search(rf"{name}: done after \d+ s, \d of 2", printed)
    assert "decision:" not in printed


def test_no_key_reaches_dask(swept):
    """Workers read it where they are."""
    project, printed, _ = swept
    logs = [path.read_text() for path in (project.parent / "cluster").glob("*.log")]
    assert "canary-not-a-key" not in "".join([printed, *logs])


def test_program_of_a_sweep_is_judged_and_used_on_another_lm(swept):
    """Its results lie apart; nothing is optimized; its testset is known to be used."""
    project, _, _ = swept
    before = Ledger(project / LEDGER).totals()
    reporting = project / f"data/08_reporting/{ROLE}"
    (first, *_) = (reporting / SLUG / "sweep").glob("*/score_report.json")
    testset = json.loads(first.read_text())["origin"]["testset"]
    judged = {"testset": testset, "program": "better", "lm": SLUG, "run": "earlier"}
    record = project / "data/08_reporting/judged_programs/judged.jsonl"
    record.parent.mkdir(exist_ok=True)
    with record.open("a") as file:
        file.write(f"\n{json.dumps(judged)}\n")
    with answering(product_owner_answers(project), model="other") as url:
        done = kedro(
            project,
            *RUN,
            "--pipelines=evaluate,integrate",
            f"--params={FEW},program_from={SLUG}/sweep/seed_9",
            base_url=url,
            most_seconds=900,
            PO_LM_MODEL="other",
        )
    assert done.returncode == 0, done.stderr[-2000:]
    results = reporting / f"openai-other/from-{SLUG}-sweep-seed_9"
    report = json.loads((results / "score_report.json").read_text())
    assert report["judgement"]["place"] == 2
    assert f"optimized on {SLUG}" in (results / "report.html").read_text()
    assert not (project / f"data/06_models/{ROLE}/openai-other").exists()
    assert (project / "planning/product_vision.yaml").exists()
    assert Ledger(project / LEDGER).totals() == before


def test_ctrl_c_ends_the_workers_in_order(tmp_path):
    """The calls in flight are finished and kept; no process and no call is left."""
    project, asked = project_in(tmp_path), []
    answer = product_owner_answers(project)

    def slowly(prompt):
        asked.append(prompt)
        time.sleep(0.3)
        return answer(prompt)

    with answering(slowly) as url:
        arguments = ("--pipeline=sweep", f"--params={FEW},sweep.workers=2")
        run = kedro_begun(project, *RUN, *arguments, base_url=url)
        in_the_middle(run, lambda: len(asked) >= 8)
        processes = psutil.Process(run.pid).children(recursive=True)
        press_ctrl_c(run)  # the workers get it too
        out, err = run.communicate(timeout=120)
        calls = len(asked)
        time.sleep(1)
    assert run.returncode == InterruptedRunError.exit_code, out + err
    assert "same command resumes" in err
    assert "Traceback" not in out + err
    assert len(processes) >= 2
    assert not psutil.wait_procs(processes, timeout=10)[1]
    assert Ledger(project / LEDGER).totals().paid == calls == len(asked)
