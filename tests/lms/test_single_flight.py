"""The same prompt at the same moment is paid once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import dspy
import pytest
from dspy.utils.exceptions import LMInvalidRequestError

from po_optimizer.lms.cache import KeptAnswer
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import StopRun
from tests.scripted import fixed_fields, scripted_lm

ANSWER = fixed_fields(answer="42")


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


def test_claim_that_is_ones_own_is_not_waited_for(tmp_path):
    """A call within a call that asks the same would wait for itself."""
    place = KeptAnswer(tmp_path, {})
    with place.claimed(waits=True), place.claimed(waits=True):
        pass
