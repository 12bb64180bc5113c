"""The pipeline evaluate through Kedro: whole, killed and run again."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dspy.lm15 import InvalidRequestError
from kedro.io import DatasetError

from po_optimizer.errors import PoOptimizerError, causes
from tests.pipelines.evaluating import answer, catalog_in, evaluate, records
from tests.scripted import scripted_lm

ROOT = Path(__file__).parents[2]
NAMES = ("baseline_predictions", "optimized_predictions")
N = 20


@pytest.fixture
def lm(tmp_path, monkeypatch):
    """A scripted LM; the working directory is a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return scripted_lm(answer, tmp_path / "lm", num_threads=2)


def answers(catalog):
    """Both programs' predictions without what differs from run to run."""
    leave = {"seconds", "prompt_tokens", "completion_tokens"}
    return [
        [{k: v for k, v in one.items() if k not in leave} for one in catalog.load(name)]
        for name in NAMES
    ]


def test_all_answers_stand_in_the_order_of_the_testset(lm):
    """Whatever finished first, record k answers example k, for both programs."""
    catalog = catalog_in(lm, records(N))
    evaluate(catalog)
    for found in answers(catalog):
        assert [one["index"] for one in found] == list(range(N))
    report = catalog.load("score_report")
    assert report["optimized"]["score"]["n"] == N
    assert report["uplift"]["n_equal"] == 3  # 0, 7 and 14 are wrong with both


def test_one_program_is_asked_after_the_other(lm):
    """The prompts of one program follow each other, for the server's prefix cache."""
    evaluate(catalog_in(lm, records(N)))
    careful = ["with care" in prompt for prompt in lm.scripted.prompts]
    assert careful == [False] * N + [True] * N


def test_error_of_the_lm_is_the_cause_of_the_failed_run(lm):
    """What ends a stream is found below Kedro's error, and no half file stands."""

    def refusing(prompt):
        raise InvalidRequestError("the prompt is too long")

    lm.scripted.answer = refusing
    catalog = catalog_in(lm, records(3))
    with pytest.raises(DatasetError) as caught:
        evaluate(catalog)
    assert any(isinstance(one, PoOptimizerError) for one in causes(caught.value))
    assert not catalog.exists("baseline_predictions")


def start(folder, **options):
    """One evaluation in a process of its own."""
    command = [sys.executable, "-m", "tests.pipelines.evaluating", str(folder)]
    command += [f"--{name}={value}" for name, value in options.items()]
    log = (folder / "run.log").open("a")
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)  # noqa: S603 -- our own module


def finished_lines(folder):
    """How many answers of the optimized program the running process has written."""
    parts = folder.rglob(".optimized_predictions.jsonl.*.tmp")
    return sum(part.read_text().count("\n") for part in parts)


def test_killed_evaluation_asks_again_only_for_calls_in_flight(lm, tmp_path):
    """SIGKILL: the rerun repeats one call a thread at most; both files are whole."""
    run = {"n": 16, "threads": 4, "seconds": 0.15}
    killed = start(tmp_path, **run)
    while finished_lines(tmp_path) < 4 and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    catalog = catalog_in(lm, records(16))
    assert catalog.exists("baseline_predictions")
    assert not catalog.exists("optimized_predictions")

    asked = (tmp_path / "asked").read_text().count("asked")
    evaluate(catalog)  # by this process's own LM, which finds every answer kept
    assert 32 <= asked + len(lm.scripted.prompts) <= 32 + 4
    assert [len(records) for records in answers(catalog)] == [16, 16]
