"""A program's answers to every example, in order, with nothing dropped.

Examples come in and records go out one by one: what is in memory does not grow with
the testset.
"""

import contextvars
import time
from collections import deque
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice, repeat
from queue import Empty, SimpleQueue
from typing import Any

import dspy
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMError,
    LMInvalidRequestError,
)
from pydantic import BaseModel

from po_optimizer.errors import MetricError, PoOptimizerError
from po_optimizer.evaluation.predictions import (
    PredictionRecord,
    Which,
    json_ready,
    mean_of_repeats,
)
from po_optimizer.lms.lm import LMAsked, no_lm_calls, use_lm
from po_optimizer.lms.stops import (
    STEP_SECONDS,
    StopRun,
    failure_of,
    unwrapped,
)
from po_optimizer.lms.visible import first_words
from po_optimizer.roles.metric import (
    JudgeUnreadableError,
    Measure,
    Metric,
    best_form,
    ordinary_errors,
    references,
)

ID_FIELDS = ("example_id", "record_id", "concept_id", "id")

# Drawn beyond the oldest example without an answer, per thread: one slow answer holds
# back the records after it, but not yet the other threads.
EXAMPLES_AHEAD = 8
_REASON = 1000  # characters

REFUSED = "the LM refused the prompt"
"""Begins the reason of an example whose prompt the LM answers with HTTP 400 or so."""
_OF_THE_PROMPT = (ContextWindowExceededError, LMInvalidRequestError)

Answer = Callable[[int, dspy.Example, str | None], PredictionRecord]


def unjudged(example: dspy.Example, prediction: Any) -> float:
    """A constant score, for answers without a reference."""
    return 1.0


def predict_all(
    program: dspy.Module,
    examples: Iterable[dspy.Example],
    metric: Metric,
    lm: Any,
    *,
    n: int,
    stage: str,
    which: Which = "baseline",
    repeats: int = 1,
    groups: Iterable[str | None] | None = None,
    strata: Sequence[str] = (),
) -> Generator[PredictionRecord, None, None]:
    """One record for each example, in the examples' order, as they are asked for.

    An answer that cannot be used is failed: 0.0, counted; so is an example on which
    the program raises, whatever it raises. An example that the LM
    could not be asked about is unscored: no score, counted apart. The examples are
    drawn as they are needed, at most `EXAMPLES_AHEAD * lm.num_threads` in advance. If
    you stop reading early, close the iterator: that ends the threads.

    Args:
        program: The program that answers.
        examples: Drawn one by one.
        metric: `(example, prediction) -> score`.
        lm: The `MeteredLM` that answers.
        n: How many examples there are.
        stage: The ledger's name for these calls.
        which: The program's part in the comparison.
        repeats: How often each example is asked; each time has answers of its own in
            the response cache, but for predictors with an LM of their own.
        groups: Of each example; None: each stands alone.
        strata: Fields of an example by which results are reported separately.

    Raises:
        PoOptimizerError: The LM could not be asked about any example.
        MetricError: The metric gave no score.
        PoOptimizerError: The LM stayed unreachable or a budget was reached.
    """
    reason: str | None = None
    n_scored = 0
    measure = Measure(metric)
    lms = [lm, *(_another(lm, number) for number in range(1, repeats))]

    def answer(
        index: int, example: dspy.Example, group: str | None
    ) -> PredictionRecord:
        answers = []
        record = blank(example, index, which, strata, group)
        for again in lms:
            with dspy.context(lm=again):
                answers.append(_answer(program, example, measure, record))
        return mean_of_repeats(answers)

    try:
        # DSPy's history would keep the prompts of 10,000 calls
        with use_lm(lm, stage=stage), dspy.context(disable_history=True):
            of_group = groups or repeat(None, n)
            numbered = zip(range(n), examples, of_group, strict=True)
            for record in _in_order(answer, numbered, lm.num_threads):
                n_scored += record.scored and not record.reason.startswith(REFUSED)
                reason = record.reason if reason is None else reason
                yield record
    except StopRun as stop:
        raise stop.as_error() from stop
    if n and not n_scored:
        raise PoOptimizerError(
            f"evaluation of the {which} program: 0 of {n} examples could "
            f"be scored, the first because of {reason or ''}. Nothing was counted as "
            "0.0; correct the lm parameters or the LM and run the same command again."
        )


def score_references(
    examples: Iterable[dspy.Example],
    metric: Metric,
    outputs: Collection[str] | None = None,
    types: Mapping[str, Any] | None = None,
) -> Iterator[PredictionRecord]:
    """The metric on the examples' own reference outputs: the ceiling, no program.

    An example is unscored if it has none, if the metric cannot read them, or if the
    metric asks an LM, which would cost a call for each example.

    Args:
        examples: With reference outputs or without.
        metric: Any callable that DSPy's optimizers take.
        outputs: The names of what the program gives; None: of all labels.
        types: Annotations of the outputs.
    """
    measure = Measure(metric)
    for index, example in enumerate(examples):
        record = blank(example, index, "reference")
        names = example.labels().keys() if outputs is None else outputs
        forms = references(example, names, types or {})
        try:
            with no_lm_calls():
                outcome = (
                    _scored(record.example_id, example, forms, measure)
                    if forms
                    else _unscored("the example has no reference outputs")
                )
        except LMAsked:
            outcome = _unscored("the metric asks an LM")
        except MetricError as error:
            outcome = _unscored(str(error))
        yield _completed(record, outcome)


def _another(lm: Any, number: int) -> Any:
    """The LM with cache entries of its own: a server may vary at temperature 0, too."""
    another = lm.copy(rollout_id=number)
    another._warned_zero_temp_rollout = True  # DSPy calls it without effect; it has one
    return another


def _in_order(
    answer: Answer,
    examples: Iterable[tuple[int, dspy.Example, str | None]],
    num_threads: int,
) -> Iterator[PredictionRecord]:
    # Not dspy.Parallel: it gives up after max_errors, asks slow examples twice and
    # swallows what the worker raises.
    executor = ThreadPoolExecutor(max_workers=num_threads)
    waiting = iter(examples)
    window: deque[Future[PredictionRecord]] = deque()
    done: SimpleQueue[Future[PredictionRecord]] = SimpleQueue()
    try:
        while True:
            room = EXAMPLES_AHEAD * num_threads - len(window)
            for numbered in islice(waiting, room):
                context = contextvars.copy_context()
                future = executor.submit(context.run, partial(answer, *numbered))
                future.add_done_callback(done.put)
                window.append(future)
            if not window:
                return
            while not window[0].done():
                with suppress(Empty):
                    # raises what any raised, the first or a later one
                    done.get(timeout=STEP_SECONDS).result()
            yield window.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _answer(
    program: dspy.Module,
    example: dspy.Example,
    measure: Measure,
    record: PredictionRecord,
) -> PredictionRecord:
    started = time.perf_counter()
    # DSPy's own trace, of all examples, would keep 10,000 predictions
    with dspy.context(trace=[]), dspy.track_usage() as tracker:
        prediction, error = _call(program, example)
    if isinstance(error, LMError) and not isinstance(error, _OF_THE_PROMPT):
        return _completed(record, _unscored(_sentence(error)))
    spent = {"seconds": time.perf_counter() - started, **_tokens(tracker)}
    if error is not None:
        return _completed(record, spent | _failed(error))
    outcome = _scored(record.example_id, example, [prediction], measure)
    return _completed(record, spent | outcome)


def _call(program: dspy.Module, example: dspy.Example) -> tuple[Any, Exception | None]:
    """What the program gave, or what it raised."""
    try:
        with ordinary_errors():
            return program(**example.inputs()), None
    except BaseException as raised:  # noqa: BLE001 -- whatever a program raises
        error = unwrapped(raised)
        if isinstance(error, PoOptimizerError) or not isinstance(error, Exception):
            raise error  # noqa: B904 -- its own cause stays
        return None, failure_of(error)


def blank(
    example: dspy.Example,
    index: int,
    which: Which,
    strata: Sequence[str] = (),
    group: str | None = None,
) -> PredictionRecord:
    """The record of an example that has no answer yet."""
    ids = [str(example[name]) for name in ID_FIELDS if example.get(name) is not None]
    return PredictionRecord(
        index=index,
        example_id=ids[0] if ids else str(index),
        which=which,
        strata={
            name: str(example[name]) for name in strata if example.get(name) is not None
        },
        group=group,
        inputs=json_ready(example.inputs().toDict()),
        labels=json_ready(example.labels().toDict()) if which == "baseline" else {},
        status="ok",
    )


def _completed(
    record: PredictionRecord, outcome: Mapping[str, Any]
) -> PredictionRecord:
    return PredictionRecord.model_validate({**dict(record), **outcome})


def _scored(
    example_id: str, example: dspy.Example, forms: Sequence[Any], measure: Measure
) -> dict[str, Any]:
    """The outcome of the answer, in the form that the metric scores best."""
    try:
        prediction, score = best_form(measure, example, forms)
    except JudgeUnreadableError as error:
        return _unscored(str(error))
    except PoOptimizerError:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        msg = f"the metric gave no score for the example {example_id} ({problem})"
        raise MetricError(msg) from error
    unusable = score.unusable is not None
    return {
        "outputs": json_ready(_fields(prediction)),
        "status": "failed" if unusable else "ok",
        "reason": score.unusable or "",
        "score": 0.0 if unusable else score.value,
        "rubric": score.rubric,
        "components": dict(score.components),
        "feedback": score.feedback,
    }


def _unscored(reason: str) -> dict[str, Any]:
    return {"status": "unscored", "reason": reason}


def _fields(prediction: Any) -> Mapping[str, Any]:
    """What a program gave by name; a value without names is the field `output`."""
    if isinstance(prediction, dspy.Example):
        return dict(prediction.toDict())
    if isinstance(prediction, BaseModel):
        return prediction.model_dump()
    if isinstance(prediction, Mapping):
        return {str(name): value for name, value in prediction.items()}
    return {"output": prediction}


def _failed(error: Exception) -> dict[str, Any]:
    raw, reason = getattr(error, "lm_response", None), _sentence(error)
    if isinstance(error, _OF_THE_PROMPT):
        reason = f"{REFUSED}: {reason}"
    return {
        "status": "failed",
        "score": 0.0,
        "reason": reason,
        "raw_text": None if raw is None else str(raw),
    }


def _sentence(error: Exception) -> str:
    # An AdapterParseError repeats the whole answer, which stands in raw_text.
    text = first_words(error, _REASON).strip().split("\n\nLM Response:")[0].strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _tokens(tracker: Any) -> dict[str, int | None]:
    totals = tracker.get_total_tokens().values()
    names = ("prompt_tokens", "completion_tokens")
    return {
        name: sum(int(total.get(name) or 0) for total in totals) if totals else None
        for name in names
    }
