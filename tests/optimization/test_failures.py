"""The failure matrix: false successes and total losses of DSPy, and what comes now."""

import asyncio
import contextlib
import math
import os
import signal
import threading
import time

import dspy
import pytest
from dspy.utils.exceptions import LMInvalidRequestError, LMTransportError

from po_optimizer.errors import MetricError, PoOptimizerError
from po_optimizer.lms.stops import stop_requested
from po_optimizer.optimization.journal import read_journal
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.optimizers.base import Sizes
from tests.optimization import world

LOST = LMTransportError("connection refused")
REFUSED = LMInvalidRequestError("bad request")
SIZES = [(8, 8), (20, 20)]


def trials(folder):
    """The journal."""
    return read_journal(folder / "trials.jsonl")


@pytest.mark.parametrize(("size", "threads"), [((8, 8), 1), ((20, 20), 8)])
def test_lm_that_is_never_there_stops_at_once(tmp_path, size, threads):
    """Nothing is scored, one attempt a thread is made, the error says how to resume."""
    lm = world.lm(tmp_path, world.failing_after(0, LOST), num_threads=threads)
    with pytest.raises(PoOptimizerError, match="the same command resumes"):
        world.run(tmp_path, lm, n_train=size[0], n_val=size[1])
    assert trials(tmp_path) == []
    assert len(lm.scripted.prompts) <= threads


@pytest.mark.parametrize(
    ("size", "raw"),
    [(SIZES[0], world.GARBAGE), (SIZES[1], ""), (SIZES[0], '{"answer": "none"}')],
)
def test_unreadable_outputs_stop_after_the_baseline(tmp_path, size, raw):
    """Garbage, nothing, and what the metric cannot use: shown once, with the reason."""
    lm = world.lm(tmp_path, world.task_only(lambda prompt: raw))
    with pytest.raises(PoOptimizerError) as stopped:
        world.run(tmp_path, lm, n_train=size[0], n_val=size[1])
    assert f"{size[1]} of {size[1]} outputs" in str(stopped.value)
    assert repr(raw) in str(stopped.value)
    assert [t.kind for t in trials(tmp_path)] == ["baseline"]
    assert trials(tmp_path)[0].n_failed == size[1]


@pytest.mark.parametrize("size", SIZES[:1])
def test_refused_prompts_stop_after_the_baseline(tmp_path, size):
    """A task LM that refuses every prompt is there, but nothing can be optimized."""

    def refuse(prompt):
        raise REFUSED

    lm = world.lm(tmp_path, world.task_only(refuse))
    with pytest.raises(PoOptimizerError, match="bad request"):
        world.run(tmp_path, lm, n_train=size[0], n_val=size[1])
    assert len(lm.scripted.prompts) <= 2 * size[1] + 2


def test_floor_stop_can_be_switched_off(tmp_path):
    """floor_stop=false goes on, and all failures are counted."""
    lm = world.lm(tmp_path, world.task_only(lambda prompt: '{"answer": "none"}'))
    result = world.run(tmp_path, lm, world.settings(floor_stop=False))
    assert result.report.best.score == 0.0
    assert all(t.n_failed == t.n for t in trials(tmp_path))


def test_no_score_above_the_floor_stops_after_the_baseline(tmp_path):
    """Usable outputs that are all scored 0.0 give an optimizer nothing either."""
    lm = world.lm(tmp_path, world.task_only(lambda prompt: '{"answer": "0"}'))
    with pytest.raises(PoOptimizerError, match=r"no score .* is above 0\.0"):
        world.run(tmp_path, lm)


def test_the_score_of_nothing_is_a_floor(tmp_path):
    """A baseline that scores all over what an empty output does."""
    with pytest.raises(PoOptimizerError, match=r"above 0\.5.* no more than an empty"):
        world.run(tmp_path, world.lm(tmp_path), metric=lambda example, given: 0.5)


def test_a_judge_that_cannot_be_read_is_a_counted_failure(tmp_path):
    """Its answers are the LM's, not the metric's defect: the run goes on."""

    def judge(example, prediction, trace=None):
        if example.question in ("v1", "t1"):
            dspy.Predict("answer -> mark: float")(answer=prediction.answer)
        return world.metric(example, prediction)

    def respond(prompt):
        wanted = prompt.rsplit("Respond with", 1)[-1]
        return world.GARBAGE if "mark" in wanted else world.answer(prompt)

    for optimizer in ("miprov2", "gepa"):
        folder = tmp_path / optimizer
        lm = world.lm(folder, respond)
        world.run(folder, lm, world.settings(optimizer), metric=judge)
        assert trials(folder)[0].n_failed == 1


def test_a_judges_lm_that_is_lost_stops_the_run(tmp_path):
    """Nothing is scored for it, and the same command resumes."""

    def judge(example, prediction, trace=None):
        raise LOST

    with pytest.raises(PoOptimizerError, match="the same command resumes"):
        world.run(tmp_path, world.lm(tmp_path), metric=judge)
    assert trials(tmp_path) == []


@pytest.mark.parametrize(
    ("optimizer", "after", "threads"),
    [
        ("miprov2", 5, 8),
        ("miprov2", 28, 1),
        ("gepa", 12, 8),
        ("bootstrap_random_search", 28, 8),
    ],
)
def test_lost_lm_scores_nothing_and_resumes(
    tmp_path, whole_run, after, threads, optimizer
):
    """An LM that dies in any step stops the run; later the result is the same."""
    params, whole = world.settings(optimizer), whole_run(optimizer)
    lost = world.lm(tmp_path, world.failing_after(after, LOST), num_threads=threads)
    with contextlib.suppress(PoOptimizerError):
        world.run(tmp_path, lost, params)
    complete = whole.trials
    assert all(a.same_as(b) for a, b in zip(trials(tmp_path), complete, strict=False))
    lm = world.lm(tmp_path, num_threads=threads)
    resumed = world.run(tmp_path, lm, params)
    assert world.document(resumed.program) == whole.document
    assert all(a.same_as(b) for a, b in zip(trials(tmp_path), complete, strict=True))
    # GEPA fills up its batches with repetitions: two threads may ask the same at once
    most = threads if optimizer == "gepa" and threads > 1 else 0
    more = len(lm.scripted.prompts) - (whole.report.spent.paid - after)
    assert 0 <= more <= most


def answers(value):
    """A metric that gives or raises one thing."""

    def metric(example, prediction, trace=None):
        if isinstance(value, BaseException):
            raise value
        return value

    return metric


@pytest.mark.parametrize(
    ("value", "said", "threads"),
    [
        (None, "NoneType", 1),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero", 8),
        (SystemExit("usage"), "SystemExit: usage", 8),
        (asyncio.CancelledError("late"), "CancelledError: late", 1),
        (math.nan, "nan", 1),
        (-0.1, "-0.1", 8),
        (1.01, "1.01", 1),
        ("0.5", "str", 8),
    ],
)
def test_broken_metric_stops_the_run(tmp_path, value, said, threads):
    """None, NaN, below 0, above 1, text, what it raises: each is named, no score."""
    lm = world.lm(tmp_path, num_threads=threads)
    with pytest.raises(MetricError, match=r"role\.metric") as stopped:
        world.run(tmp_path, lm, metric=answers(value))
    assert said in str(stopped.value)
    assert trials(tmp_path) == []


@pytest.mark.parametrize("optimizer", ["miprov2", "gepa", "bootstrap_random_search"])
def test_metric_that_breaks_later_stops_too(tmp_path, optimizer):
    """A metric that fails in bootstrapping or a trial is not swallowed there."""

    def late(example, prediction, trace=None):
        if example.question.startswith("t"):
            msg = "only in training"
            raise RuntimeError(msg)
        return world.metric(example, prediction)

    with pytest.raises(MetricError, match="only in training"):
        world.run(tmp_path, world.lm(tmp_path), world.settings(optimizer), metric=late)
    assert len(trials(tmp_path)) <= 3


def test_lost_prompt_lm_stops_the_run(tmp_path):
    """A prompt LM out of reach is an error that keeps the baseline."""

    def respond(prompt):
        if world.is_task(prompt):
            return world.answer(prompt)
        raise LOST

    with pytest.raises(PoOptimizerError, match="the same command resumes"):
        world.run(tmp_path, world.lm(tmp_path, respond))
    assert [t.kind for t in trials(tmp_path)] == ["baseline"]


def test_garbage_from_the_prompt_lm_is_named(tmp_path):
    """Proposals that cannot be parsed end with a sentence, the baseline stored."""

    def respond(prompt):
        return world.answer(prompt) if world.is_task(prompt) else world.GARBAGE

    with pytest.raises(PoOptimizerError, match="best program so far"):
        world.run(tmp_path, world.lm(tmp_path, respond))
    assert [t.kind for t in trials(tmp_path)] == ["baseline"]


FEW = {
    "num_candidates": 2,
    "num_trials": 15,
    "max_bootstrapped_demos": 0,
    "max_labeled_demos": 0,
    "minibatch": True,
    "minibatch_size": 4,
    "minibatch_full_eval_steps": 5,
}


def test_too_few_candidates_are_known_beforehand(tmp_path):
    """2 instructions, zero-shot, 3 full evaluations: refused before any call."""
    optimizer = make_optimizer(world.settings(miprov2=FEW))
    failed = [c for c in optimizer.checks(Sizes(1, 8, 8)) if not c.passed]
    assert [check.name for check in failed] == ["miprov2_candidates"]
    assert failed[0].value == {"distinct": 2, "full_evals": 3}


def test_exhausted_candidates_lose_nothing(tmp_path):
    """Without the preflight the same run ends with its best, and says why."""
    result = world.run(tmp_path, world.lm(tmp_path), world.settings(miprov2=FEW))
    assert result.report.ended == "completed"
    assert "every distinct candidate" in result.report.reason
    assert result.report.best.score == max(t.best for t in trials(tmp_path))


def signalling(number, at, times=1):
    """Answers; while the call `at` is in flight the process gets a signal.

    Calls beside it last until the main thread has noticed, however busy the machine is.
    A signal that comes just as that thread begins to wait is heard when the wait ends,
    as Python has it: so an only one is sent until it is heard.
    """
    lock, count = threading.Lock(), 0

    def respond(prompt):
        nonlocal count
        with lock:
            count += 1
            mine = count == at
        for _ in range(times if mine else 0):
            os.kill(os.getpid(), number)
            time.sleep(0.1)
        while mine and times == 1 and not stop_requested.wait(1):
            os.kill(os.getpid(), number)
        if count >= at:
            stop_requested.wait(30)
        return world.answer(prompt)

    return respond


@pytest.mark.parametrize(
    ("number", "threads"), [(signal.SIGINT, 8), (signal.SIGTERM, 1)]
)
def test_first_interrupt_ends_in_order(tmp_path, whole_run, number, threads):
    """What is in flight is finished and kept, the best so far comes back."""
    whole = whole_run("miprov2")
    lm = world.lm(tmp_path, signalling(number, at=15), num_threads=threads)
    result = world.run(tmp_path, lm)
    assert result.report.ended == "interrupted"
    assert 15 <= len(lm.scripted.prompts) < 15 + threads
    assert result.report.spent.paid == len(lm.scripted.prompts)
    later = world.lm(tmp_path)
    resumed = world.run(tmp_path, later)
    assert world.document(resumed.program) == whole.document
    paid = len(lm.scripted.prompts) + len(later.scripted.prompts)
    assert paid == whole.report.spent.paid


@pytest.mark.parametrize("at", [10, 12])
def test_interrupt_while_proposing_is_no_failure(tmp_path, at):
    """DSPy cancels its own threads at a Ctrl-C: its error is not the optimizer's."""
    lm = world.lm(tmp_path, signalling(signal.SIGINT, at=at), num_threads=8)
    assert world.run(tmp_path, lm).report.ended == "interrupted"


def test_second_interrupt_leaves(tmp_path):
    """Ctrl-C twice leaves at once, and the handler that was there comes back."""
    before = signal.getsignal(signal.SIGINT)
    lm = world.lm(tmp_path, signalling(signal.SIGINT, at=15, times=2))
    with pytest.raises(KeyboardInterrupt):
        world.run(tmp_path, lm)
    assert len(lm.scripted.prompts) == 15
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_signals_alone(tmp_path):
    """An optimization outside the main thread runs without handlers of its own."""
    results = []

    def work():
        results.append(world.run(tmp_path, world.lm(tmp_path)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results[0].report.ended == "completed"


@pytest.mark.parametrize("threads", [1, 8])
def test_call_limit_of_60_stops_at_60(tmp_path, threads):
    """Where an Exception on call 60 let DSPy go on to 110 calls."""
    params = world.settings(
        budget={"max_calls": 60}, miprov2={"num_trials": 15, "num_candidates": 5}
    )
    lm = world.lm(tmp_path, num_threads=threads)
    result = world.run(tmp_path, lm, params, n_train=20, n_val=20)
    assert result.report.ended == "budget"
    assert 60 <= len(lm.scripted.prompts) < 60 + threads


def test_store_that_fails_stops_the_run(tmp_path):
    """A best program that cannot be stored is an error, not a line in DSPy's log."""

    def full_disk(program, known):
        raise OSError(28, "No space left on device")

    with pytest.raises(PoOptimizerError, match="No space left"):
        world.run(tmp_path, world.lm(tmp_path), save_best=full_disk)
    assert trials(tmp_path) == []


def test_journal_that_fails_stops_the_run(tmp_path, monkeypatch):
    """A journal that cannot be written is an error, and the next run makes it whole."""

    def full_disk(number):
        raise OSError(28, "No space left on device")

    run = world.run(tmp_path / "whole", world.lm(tmp_path / "whole"))
    world.run(tmp_path, world.lm(tmp_path), world.settings(budget={"max_calls": 20}))
    with monkeypatch.context() as patch:
        patch.setattr("po_optimizer.optimization.recorder.Journal.add", full_disk)
        with pytest.raises(PoOptimizerError, match="cannot be written"):
            world.run(tmp_path, world.lm(tmp_path))
    again = world.run(tmp_path, world.lm(tmp_path))
    assert world.document(again.program) == world.document(run.program)
    assert len(trials(tmp_path)) == run.report.n_trials
