"""The same prompt at the same moment is paid once, by threads and by processes."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dspy
import pytest
from dspy.utils.exceptions import LMInvalidRequestError

from po_optimizer.lms import Ledger, StopRun, single_flight, use_lm
from po_optimizer.lms.single_flight import SingleFlight
from tests.scripted import fixed_fields, scripted_lm

ANSWER = fixed_fields(answer="42")
KEY, OTHER = "f" * 64, "0" * 64

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")


class Slow:
    """An LM function that answers when it is told to."""

    def __init__(self, *errors):
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.errors = list(errors)

    def __call__(self, prompt):
        """Waits, then raises what is left to raise, or answers."""
        self.asked.set()
        assert self.go_on.wait(20)
        if self.errors:
            raise self.errors.pop(0)
        return ANSWER(prompt)


# made once: Python 3.11 may fail to parse in several threads at a time
QA = dspy.Signature("question -> answer")


def ask(lm, question="why?"):
    """One program call on the LM."""
    with use_lm(lm, stage="test"):
        return dspy.Predict(QA)(question=question).answer


def ask_twice(lm, slow):
    """The same question from two threads, the second while the first is asked."""
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(ask, lm)
        assert slow.asked.wait(20)
        second = threads.submit(ask, lm)
        while lm.meter.in_flight < 2:
            assert not second.done()
        slow.go_on.set()
        return first, second


def test_second_thread_waits_for_the_answer_of_the_first(tmp_path):
    """One paid call, one answer from the cache."""
    slow = Slow()
    lm = scripted_lm(slow, tmp_path)
    first, second = ask_twice(lm, slow)
    assert (first.result(), second.result()) == ("42", "42")
    assert sorted(row.paid for row in lm.meter.ledger.rows()) == [False, True]


def test_second_asks_itself_when_the_first_fails(tmp_path):
    """A refusal of one call is not the other's."""
    slow = Slow(LMInvalidRequestError("bad request"))
    lm = scripted_lm(slow, tmp_path)
    first, second = ask_twice(lm, slow)
    with pytest.raises(LMInvalidRequestError):
        first.result()
    assert len(lm.scripted.prompts) == 2
    assert [row.error is None for row in lm.meter.ledger.rows()] == [False, True]
    assert second.exception() is None


def test_stop_of_the_first_reaches_the_second(tmp_path):
    """It does not wait for ever, nor does it pay."""
    slow = Slow(StopRun("enough"))
    lm = scripted_lm(slow, tmp_path)
    for one in ask_twice(lm, slow):
        with pytest.raises(StopRun, match="enough"):
            one.result()
    assert len(lm.scripted.prompts) == 1


def test_other_prompts_do_not_wait(tmp_path):
    """Eight threads with eight questions are asked all at once."""
    barrier = threading.Barrier(8, timeout=20)

    def together(prompt):
        barrier.wait()
        return ANSWER(prompt)

    lm = scripted_lm(together, tmp_path)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda n: ask(lm, f"q{n}"), range(8))) == ["42"] * 8


def test_many_threads_pay_each_prompt_once(tmp_path):
    """8 threads x 40 calls of 5 prompts: 5 are paid."""
    lm = scripted_lm(ANSWER, tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: ask(lm, f"q{n % 5}"), range(40)))
    totals = lm.meter.ledger.totals()
    assert (totals.paid, totals.cached) == (5, 35)


def test_key_that_is_ones_own_is_not_waited_for(tmp_path):
    """A thread that looks twice would wait for itself."""
    flight = SingleFlight(tmp_path / "lock")
    assert flight.take(KEY)
    assert not flight.take(KEY)
    flight.release(KEY)
    assert flight.take(KEY)


def test_call_without_an_answer_releases_all_it_took(tmp_path):
    """What another thread holds stays with it."""
    flight = SingleFlight(tmp_path / "lock")
    flight.take(KEY)
    with ThreadPoolExecutor(1) as other:
        other.submit(flight.take, OTHER).result()
        flight.release_mine()
        assert list(flight._owners) == [OTHER]
        assert other.submit(flight.take, KEY).result()


def test_release_of_what_nobody_holds_is_nothing(tmp_path):
    """An answer may be put without having been missed."""
    SingleFlight(tmp_path / "lock").release(KEY)


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "ab")
fcntl.lockf(file, fcntl.LOCK_EX, 1, int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that asks for KEY; it is killed at the end."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    command.append(str(single_flight._byte(KEY)))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:  # noqa: S603
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@needs_locks
def test_another_process_is_waited_for_until_it_dies(tmp_path, holder):
    """A worker that is killed leaves no lock behind."""
    flight = SingleFlight(tmp_path / "lock")
    assert flight.take(OTHER)
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(flight.take, KEY)
        assert not taken.done()
        assert not flight._lock(KEY)
        holder.kill()
        assert taken.result(20)


@needs_locks
def test_disk_without_locks_fails_nothing(tmp_path, monkeypatch):
    """A prompt may be paid twice then, but it is asked."""

    def refuse(*args):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(single_flight.fcntl, "lockf", refuse)
    flight = SingleFlight(tmp_path / "lock")
    assert flight.take(KEY)
    flight.release(KEY)
    assert flight.take(KEY)


WORKER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tests.lms.test_single_flight import ANSWER, ask
from tests.scripted import scripted_lm

def slowly(prompt):
    time.sleep(0.3)
    return ANSWER(prompt)

lm = scripted_lm(slowly, Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(4) as threads:
    list(threads.map(lambda n: ask(lm, f"q{n % 6}"), range(24)))
"""


@needs_locks
def test_two_processes_pay_each_prompt_once(tmp_path):
    """2 processes x 4 threads x 24 calls of 6 prompts, in step: 6 are paid."""
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    pipe, root = subprocess.PIPE, Path(__file__).parents[2]
    made = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=root)  # noqa: S603
        for _ in range(2)
    ]
    for process in made:
        assert process.stdout.readline() == b"ready\n"
    for process in made:
        process.stdin.write(b"go\n")
        process.stdin.close()
    for process in made:
        assert process.wait(60) == 0
        process.stdout.close()
    totals = Ledger(tmp_path / "ledger.sqlite").totals()
    assert (totals.paid, totals.cached) == (6, 42)
