import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest
from dspy.lm15 import InvalidRequestError

from po_optimizer.errors import InterruptedRunError, MetricError, PoOptimizerError
from po_optimizer.evaluation.predict import (
    EXAMPLES_AHEAD,
    predict_all,
    score_references,
)
from po_optimizer.lms.interrupt import orderly_interrupt, stop_lms_in_use
from po_optimizer.lms.stops import Interrupted, StopRun, stop_requested
from po_optimizer.roles.score import Score
from tests.scripted import scripted_lm


def _examples(n: int) -> list[dspy.Example]:
    made = [
        dspy.Example(question=f"question {i}", answer=str(i), tier="simple", id=f"E{i}")
        for i in range(n)
    ]
    return [example.with_inputs("question") for example in made]


def _metric(example: dspy.Example, prediction: Any, trace: Any = None) -> Score:
    right = float(prediction.answer == example.answer)
    return Score(right, {"right": right}, rubric=right, feedback="" if right else "no")


def _number(prompt: str) -> str:
    return prompt.rsplit("question ", 1)[1].split("\n", maxsplit=1)[0].strip()


def _right(prompt: str) -> str:
    return json.dumps({"answer": _number(prompt)})


def _run(
    answer: Any,
    folder: Path,
    n: int = 3,
    metric: Any = _metric,
    num_threads: int = 1,
    **more: Any,
) -> Any:
    lm = scripted_lm(answer, folder, num_retries=0, num_threads=num_threads)
    return _predict(lm, n, metric, **more)


def _predict(lm: Any, n: int, metric: Any = _metric, **more: Any) -> Any:
    return list(_stream(lm, _examples(n), n, metric, **more))


def _stream(lm: Any, examples: Any, n: int, metric: Any = _metric, **more: Any) -> Any:
    program = dspy.Predict("question -> answer")
    more = {"stage": "evaluate", "n": n, **more}
    return predict_all(program, examples, metric, lm, **more)


def test_a_right_answer_is_scored_with_its_parts(tmp_path: Path) -> None:
    """A record holds id, strata, inputs, typed outputs, score, parts and tokens."""
    record = _run(_right, tmp_path, n=1, strata=["tier", "none"])[0]
    assert (record.example_id, record.strata) == ("E0", {"tier": "simple"})
    assert record.inputs == {"question": "question 0"}
    assert record.outputs == {"answer": "0"}
    assert (record.status, record.score, record.rubric) == ("ok", 1.0, 1.0)
    assert record.components == {"right": 1.0}
    assert record.prompt_tokens > 0
    assert record.seconds > 0


def test_an_unreadable_answer_is_failed_with_its_text(tmp_path: Path) -> None:
    """Text that the adapter cannot read scores 0.0 and is kept for the report."""
    record = _run(lambda prompt: "no JSON at all", tmp_path, n=1)[0]
    assert (record.status, record.score) == ("failed", 0.0)
    assert record.raw_text == "no JSON at all"
    assert record.reason.startswith("AdapterParseError")
    assert "no JSON at all" not in record.reason


def test_an_output_that_the_metric_cannot_use_is_failed(tmp_path: Path) -> None:
    """The metric's `unusable` makes a typed but useless answer a counted failure."""

    def metric(example: Any, prediction: Any, trace: Any = None) -> Score:
        return Score(0.0, unusable="the vision is empty")

    record = _run(_right, tmp_path, n=1, metric=metric)[0]
    assert (record.status, record.reason) == ("failed", "the vision is empty")


def test_a_refused_prompt_is_the_program_s_failure(tmp_path: Path) -> None:
    """The LM answers other prompts: this one scores 0.0, as in an optimization."""

    def answer(prompt: str) -> str:
        if _number(prompt) == "1":
            raise InvalidRequestError("bad request\n\n  To fix:\n    - Pass less=...")
        return _right(prompt)

    records = _run(answer, tmp_path)
    assert [record.score for record in records] == [1.0, 0.0, 1.0]
    assert records[1].status == "failed"
    assert "refused the prompt" in records[1].reason
    assert records[1].reason.endswith("bad request")  # not a library's advice


def test_nothing_scored_is_an_error(tmp_path: Path) -> None:
    """An evaluation without one scored example says so and gives no report."""

    def answer(prompt: str) -> str:
        raise InvalidRequestError("bad request")

    with pytest.raises(PoOptimizerError, match="0 of 3 examples"):
        _run(answer, tmp_path)


def test_an_unreachable_lm_stops_with_an_ordinary_error(tmp_path: Path) -> None:
    """A BaseException inside DSPy arrives as the error that the user reads."""

    def answer(prompt: str) -> str:
        raise ConnectionError("connection refused")

    with pytest.raises(PoOptimizerError, match="gave no answer"):
        _run(answer, tmp_path)


def test_a_stop_in_a_thread_ends_the_other_examples(tmp_path: Path) -> None:
    """With several threads a stop is not swallowed and no new example is begun."""
    lm = scripted_lm(_right, tmp_path, num_threads=2)
    asked: list[int] = []

    def guard() -> None:
        asked.append(1)
        raise StopRun("max_calls=0 is reached")

    lm.meter.guards.append(guard)
    with pytest.raises(PoOptimizerError, match="max_calls"):
        _predict(lm, 40)
    assert len(asked) == 1


def test_order_is_kept_with_several_threads(tmp_path: Path) -> None:
    """The records stand in the examples' order however long each took."""

    def answer(prompt: str) -> str:
        time.sleep(0.05 if _number(prompt) in {"0", "2"} else 0.0)
        return _right(prompt)

    records = _run(answer, tmp_path, n=6, num_threads=4)
    assert [record.index for record in records] == list(range(6))
    assert all(record.score == 1.0 for record in records)


def test_examples_are_drawn_no_further_than_the_window(tmp_path: Path) -> None:
    """A long testset is never in memory: few examples are read ahead of a record."""
    drawn: list[int] = []

    def watched() -> Any:
        for number, example in enumerate(_examples(100)):
            drawn.append(number)
            yield example

    stream = _stream(scripted_lm(_right, tmp_path, num_threads=2), watched(), 100)
    assert drawn == []
    for record in stream:
        assert len(drawn) <= record.index + 2 * EXAMPLES_AHEAD
    assert len(drawn) == 100


def test_a_closed_stream_asks_no_more(tmp_path: Path) -> None:
    """Who cannot keep the records ends the threads that make them."""
    lm = scripted_lm(_right, tmp_path, num_threads=2)
    stream = _stream(lm, _examples(100), 100)
    next(stream)
    stream.close()
    asked = len(lm.scripted.prompts)
    time.sleep(0.05)
    assert len(lm.scripted.prompts) == asked <= 2 * EXAMPLES_AHEAD


def test_too_few_examples_are_noticed(tmp_path: Path) -> None:
    """The places in the testset and the examples are of one number."""
    with pytest.raises(ValueError, match="shorter"):
        list(_stream(scripted_lm(_right, tmp_path), _examples(2), 3))


def test_prompts_are_not_kept_in_memory(tmp_path: Path) -> None:
    """DSPy's history would hold those of 10,000 calls."""
    lm = scripted_lm(_right, tmp_path)
    _predict(lm, 3)
    assert lm.history == []


def test_threads_see_the_stage(tmp_path: Path) -> None:
    """Calls made in worker threads stand in the ledger under the given stage."""
    names: list[str] = []

    def answer(prompt: str) -> str:
        names.append(threading.current_thread().name)
        return _right(prompt)

    lm = scripted_lm(answer, tmp_path, num_threads=2)
    _predict(lm, 4)
    assert lm.meter.ledger.totals(stage="evaluate").paid == 4
    assert "MainThread" not in names


def test_cached_answers_report_no_tokens(tmp_path: Path) -> None:
    """The second measurement pays nothing and gives the same scores."""
    first = _run(_right, tmp_path)
    again = _run(_right, tmp_path)
    assert [r.score for r in again] == [r.score for r in first]
    assert all(record.prompt_tokens is None for record in again)


def test_the_metrics_own_error_is_raised(tmp_path: Path) -> None:
    """A broken metric stops the evaluation: it says nothing about the program."""

    def metric(example: Any, prediction: Any, trace: Any = None) -> float:
        return float(prediction.no_such_field)

    with pytest.raises(MetricError, match=r"E0 .*no_such_field.* role.metric"):
        _run(_right, tmp_path, metric=metric)


class Gives(dspy.Module):
    """Gives what a function makes of the question."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, question: str) -> Any:
        """Whatever it is."""
        return self.make(question)


def _given(make: Any, folder: Path, metric: Any = lambda example, given: 1.0) -> Any:
    lm = scripted_lm(_right, folder)
    stream = predict_all(Gives(make), _examples(2), metric, lm, stage="evaluate", n=2)
    return list(stream)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        *((e, e.__name__) for e in (IndexError, KeyError, AssertionError)),
        (ConnectionError, "ConnectionError"),
        (SystemExit, "RuntimeError: SystemExit"),
    ],
)
def test_whatever_a_program_raises_is_a_failure(
    error: Any, named: str, tmp_path: Path
) -> None:
    """The example is failed, 0.0 and counted; the error is named."""

    def make(question: str) -> str:
        if question.endswith("0"):
            raise error("nothing there")
        return question

    first, second = _given(make, tmp_path)
    assert (first.status, first.score, second.score) == ("failed", 0.0, 1.0)
    assert first.reason.startswith(named)


def test_our_own_errors_are_no_failure_of_the_program(tmp_path: Path) -> None:
    """What the project refuses ends the evaluation, in whatever it is raised."""

    def make(question: str) -> str:
        raise PoOptimizerError("the disk is full")

    with pytest.raises(PoOptimizerError, match="the disk is full"):
        _given(make, tmp_path)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("text", {"output": "text"}),
        (None, {"output": None}),
        ([1, {2}], {"output": [1, [2]]}),
        ({"a": np.float64(0.5), 2: np.array([1, 2])}, {"a": 0.5, "2": [1, 2]}),
        (dspy.Prediction(a=dspy.Example(b=1)), {"a": {"b": 1}}),
        (dspy.History(messages=[{"q": 1}]), {"messages": [{"q": 1}]}),
        (b"\xff", {"output": "b'\\xff'"}),
    ],
)
def test_a_program_may_give_anything(value: Any, stored: Any, tmp_path: Path) -> None:
    """The metric gets it as it is, and it is stored readably."""
    given: list[Any] = []

    def metric(example: Any, prediction: Any, trace: Any = None) -> float:
        given.append(prediction)
        return 1.0

    record = _given(lambda question: value, tmp_path, metric)[0]
    assert (given[0], type(given[0])) == (value, type(value))
    assert record.outputs == stored


def test_what_fails_after_a_ctrl_c_is_no_failure_of_the_program(
    tmp_path: Path,
) -> None:
    """A signal ends a program's subprocesses, too: nothing is scored 0.0 for it."""

    class Sandboxed(dspy.Module):
        def forward(self, question: str) -> Any:
            """Loses its sandbox to the signal."""
            os.kill(os.getpid(), signal.SIGINT)
            while not stop_requested.wait(0.01):
                pass
            raise RuntimeError("the sandbox exited (code -2)")

    lm, metric = scripted_lm(_right, tmp_path), _metric
    with orderly_interrupt(stop_lms_in_use), pytest.raises(InterruptedRunError):
        list(predict_all(Sandboxed(), _examples(1), metric, lm, stage="e", n=1))


class Group(BaseException):
    """As asyncio's BaseExceptionGroup, which Python 3.10 lacks."""

    def __init__(self, *exceptions: BaseException) -> None:
        self.exceptions = exceptions


def test_a_group_of_errors_is_what_is_in_it(tmp_path: Path) -> None:
    """A stop in it ends the run in order; else the first error is the example's."""

    class Grouped(dspy.Module):
        error: BaseException = ValueError("the tool is closed")

        def forward(self, question: str) -> Any:
            """Fails as a TaskGroup does."""
            raise Group(Group(self.error), KeyError("x"))

    lm, program = scripted_lm(_right, tmp_path), Grouped()
    more = {"stage": "e", "n": 2}
    records = list(predict_all(program, _examples(2), _metric, lm, **more))
    assert records[0].reason == "ValueError: the tool is closed"
    program.error = Interrupted()
    with pytest.raises(InterruptedRunError):
        list(predict_all(program, _examples(2), _metric, lm, **more))


def test_references_are_scored_without_a_program() -> None:
    """The ceiling is the metric on each example's own reference output."""
    records = list(score_references(_examples(2), _metric))
    assert [record.score for record in records] == [1.0, 1.0]
    assert {record.which for record in records} == {"reference"}


def test_a_reference_that_the_metric_cannot_read_is_unscored() -> None:
    """The ceiling is left out; the answers, which are paid for, keep their scores."""

    def reads_a_model(example: Any, prediction: Any, trace: Any = None) -> float:
        return float(prediction.answer.value)

    records = list(score_references(_examples(2), reads_a_model))
    assert [record.status for record in records] == ["unscored"] * 2
