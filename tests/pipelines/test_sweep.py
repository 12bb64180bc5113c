"""Several configurations in one run, and a stored program on another LM."""

import json
import time

import pytest

from po_optimizer.lms import Ledger
from tests.faces.project import (
    ENVIRONMENT,
    SLUG,
    answering,
    copy_project,
    in_the_middle,
    kedro,
    kedro_begun,
    press_ctrl_c,
    product_owner_answers,
)

RUN = ("run", f"--env={ENVIRONMENT}")
SMALL = ",".join(
    [
        "data_prep.sizes.train=2",
        "data_prep.sizes.val=2",
        "data_prep.sizes.test=3",
        "optimize.miprov2.num_candidates=2",
        "optimize.miprov2.num_trials=1",
        "optimize.bootstrap_random_search.num_candidate_programs=1",
    ]
)
NAMES = {"seed_9", "seed_10", "random_search"}


def careless(project):
    """Answers like the references, without a review's care at every other prompt."""
    right = product_owner_answers(project)

    def answer(prompt):
        text = right(prompt)
        fields = json.loads(text)
        review = fields.get("product_owner_review")
        if review and len(prompt) % 2:
            review["summary"] = review["summary"][:1]
            review["requirements_alignment"]["gaps"] = []
        return json.dumps(fields)

    return answer


def swept(folder, runner):
    """A project whose sweep is done, and what it printed."""
    project = copy_project(folder / "project")
    with answering(careless(project)) as url:
        arguments = ("--pipeline=sweep", f"--runner={runner}", f"--params={SMALL}")
        done = kedro(project, *RUN, *arguments, base_url=url)
    assert done.returncode == 0, done.stderr[-2000:]
    return project, done.stdout


@pytest.fixture(scope="module")
def threads(tmp_path_factory):
    """The sweep with a thread for each configuration."""
    return swept(tmp_path_factory.mktemp("threads"), "ThreadRunner")


def leaderboard(project):
    """What the sweep says, without what a clock or the other threads decide."""
    path = project / f"data/08_reporting/product_owner/{SLUG}/sweep/leaderboard.json"
    board = json.loads(path.read_text())
    for entry in board["entries"]:
        entry.pop("seconds")
        entry.pop("calls_paid")
    return board


def test_every_configuration_leaves_a_program(threads):
    """Each is stored under its name; the leaderboard has them all."""
    project, printed = threads
    folder = project / f"data/06_models/product_owner/{SLUG}/sweep"
    stored = {path.parent.name for path in folder.glob("*/program.json")}
    assert stored == NAMES
    assert {entry["name"] for entry in leaderboard(project)["entries"]} == NAMES
    assert "95.0% intervals" in printed


def test_log_lines_say_which_configuration_they_are_about(threads):
    """Three optimizations at a time can be told apart."""
    _, printed = threads
    assert all(f"sweep.{name}: trial 1 baseline" in printed for name in NAMES)


def test_threads_find_what_one_after_the_other_find(threads, tmp_path):
    """The runner decides how long it takes, not what comes out."""
    project, _ = swept(tmp_path, "SequentialRunner")
    assert leaderboard(project) == leaderboard(threads[0])


def test_program_of_a_sweep_is_judged_and_used_on_another_lm(threads):
    """Its results lie apart; nothing is optimized; its testset is known to be used."""
    project, _ = threads
    source = f"program_from={SLUG}/sweep/seed_9"
    other = {"PO_LM_MODEL": "other"}
    before = Ledger(
        project / f"data/07_model_output/product_owner/{SLUG}/ledger.sqlite"
    ).totals()
    with answering(careless(project), model="other") as url:
        params = f"--params={SMALL},{source}"
        for stage in ("evaluate", "integrate"):
            done = kedro(
                project,
                *RUN,
                f"--pipeline={stage}",
                params,
                base_url=url,
                **other,
            )
            assert done.returncode == 0, done.stderr[-2000:]
    results = (
        project
        / f"data/08_reporting/product_owner/openai-other/from-{SLUG}-sweep-seed_9"
    )
    report = json.loads((results / "score_report.json").read_text())
    assert report["judgement"]["place"] > 1
    assert f"optimized on {SLUG}" in (results / "report.html").read_text()
    assert not (project / "data/06_models/product_owner/openai-other").exists()
    assert (project / "planning/product_vision.yaml").exists()
    after = Ledger(
        project / f"data/07_model_output/product_owner/{SLUG}/ledger.sqlite"
    ).totals()
    assert after == before


def test_interrupt_ends_every_thread_and_the_same_command_resumes(tmp_path):
    """Ctrl-C during a sweep in threads: no hang, no traceback, all answers kept."""
    project = copy_project(tmp_path / "project")
    right = product_owner_answers(project)

    def slowly(prompt):
        time.sleep(0.3)
        return right(prompt)

    command = [*RUN, "--pipeline=sweep", "--runner=ThreadRunner", f"--params={SMALL}"]
    ledger = project / f"data/07_model_output/product_owner/{SLUG}/ledger.sqlite"

    def has_paid():
        return ledger.exists() and Ledger(ledger).totals(stage="optimize").paid

    with answering(slowly) as url:
        running = kedro_begun(project, *command, base_url=url)
        in_the_middle(running, has_paid)
        press_ctrl_c(running)
        printed = "".join(running.communicate(timeout=60))
        assert running.returncode in {3, 130}, printed[-2000:]
        assert "Traceback" not in printed
        assert "same command resumes" in printed
        paid = Ledger(ledger).totals().paid
        again = kedro(project, *command, base_url=url)
    assert again.returncode == 0, again.stderr[-2000:]
    assert Ledger(ledger).totals().cached > 0
    assert Ledger(ledger).totals().paid > paid
