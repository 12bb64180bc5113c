"""Ctrl-C where LMs are asked in several threads."""

import os
import signal
import threading

import dspy
import pytest

from po_optimizer.lms.interrupt import orderly_interrupt, stop_lms_in_use
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import Interrupted, force_exit
from tests.scripted import fixed_fields, scripted_lm


def ask(lm, question):
    """One program call."""
    with use_lm(lm, stage="test"):
        return dspy.Predict("question -> answer")(question=question).answer


def held_lm(folder):
    """An LM whose answer waits: it sets the first event and awaits the second."""
    asked, told = threading.Event(), threading.Event()

    def answer(prompt):
        asked.set()
        told.wait(10)
        return '{"answer": "42"}'

    return scripted_lm(answer, folder), asked, told


def test_lms_in_use_refuse_further_calls(tmp_path):
    """The call that is in flight is answered, the next one is not paid."""
    lm = scripted_lm(fixed_fields(answer="42"), tmp_path)
    with use_lm(lm, stage="test"):
        program = dspy.Predict("question -> answer")
        assert program(question="one").answer == "42"
        stop_lms_in_use(Interrupted())
        with pytest.raises(Interrupted):
            program(question="two")
    assert len(lm.scripted.prompts) == 1


def test_next_node_may_ask_again(tmp_path):
    """A stop ends with the block that it stopped."""
    lm = scripted_lm(fixed_fields(answer="42"), tmp_path)
    with use_lm(lm, stage="test"):
        stop_lms_in_use(Interrupted())
    assert ask(lm, "again") == "42"


def test_nothing_in_use_is_an_ordinary_interrupt():
    """There is no call to wait for."""
    with pytest.raises(KeyboardInterrupt):
        stop_lms_in_use(Interrupted())


def test_signal_reaches_the_other_threads(tmp_path):
    """The main thread's Ctrl-C stops an LM that a thread has in use."""
    lm, asked, told = held_lm(tmp_path)
    ended: list[object] = []

    def work():
        with use_lm(lm, stage="test"):
            program = dspy.Predict("question -> answer")
            ended.append(program(question="in flight").answer)
            try:
                program(question="next")
            except Interrupted as stop:
                ended.append(stop)

    thread = threading.Thread(target=work)
    with orderly_interrupt(stop_lms_in_use):
        thread.start()
        assert asked.wait(10)
        os.kill(os.getpid(), signal.SIGINT)
        told.set()
        thread.join()
    assert ended[0] == "42"
    assert isinstance(ended[1], Interrupted)
    assert ended[1].as_error().exit_code == 130


def test_ctrl_c_holds_until_the_run_ends(tmp_path):
    """No LM forgets it, in whichever block it is asked next; the next run may ask."""
    lm = scripted_lm(fixed_fields(answer="42"), tmp_path)
    stops: list[object] = []
    with orderly_interrupt(stops.append):
        with orderly_interrupt(stops.append):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            ask(lm, "first")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    force_exit.clear()
    assert [type(stop) for stop in stops] == [Interrupted]
    assert ask(lm, "first") == "42"


def test_waiting_until_idle_takes_the_calls_in_flight(tmp_path):
    """It returns when the last answer is kept."""
    lm, asked, told = held_lm(tmp_path)
    thread = threading.Thread(target=ask, args=(lm, "slow"))
    thread.start()
    assert asked.wait(10)
    assert lm.meter.in_flight == 1
    threading.Timer(0.05, told.set).start()
    lm.meter.wait_until_idle()
    assert lm.meter.in_flight == 0
    assert lm.meter.ledger.totals().paid == 1
    thread.join()


def test_an_ignored_signal_stays_ignored():
    """As in a shell's background job; what is heard again afterwards is as before."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with orderly_interrupt(stop_lms_in_use):
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_ignored_interrupt_does_not_end_an_evaluation():
    """DSPy's own handler would take it, and raise in the middle of the examples."""

    def interrupted(_example, prediction, _trace=None):
        os.kill(os.getpid(), signal.SIGINT)
        return prediction.answer

    examples = [dspy.Example(answer=1.0).with_inputs("answer")] * 4
    judge = dspy.Evaluate(devset=examples, metric=interrupted, num_threads=2)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with orderly_interrupt(stop_lms_in_use):
            assert judge(lambda answer: dspy.Prediction(answer=answer)).score == 100
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
