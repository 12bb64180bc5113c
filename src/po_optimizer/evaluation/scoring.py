"""A program's answers to every example, in order, with nothing dropped."""

import contextvars
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, Literal

import dspy
from dspy.utils.exceptions import (
    AdapterParseError,
    ContextWindowExceededError,
    LMError,
)

from po_optimizer.errors import NothingScoredError
from po_optimizer.evaluation.records import PredictionRecord, Which, json_ready
from po_optimizer.lms.metered import use_lm
from po_optimizer.lms.stop import StopRun
from po_optimizer.roles import Metric
from po_optimizer.score import Score

logger = logging.getLogger(__name__)

ID_FIELDS = ("example_id", "record_id", "concept_id", "id")
STRATA_FIELDS = ("tier", "language")

# The program's own doing: an answer without the fields, a prompt that does not fit.
# ValueError covers pydantic's ValidationError and parsers in a program's forward.
PROGRAM_FAILURES = (AdapterParseError, ContextWindowExceededError, ValueError)

Answer = Callable[[dspy.Example], PredictionRecord]


def predict_all(
    program: dspy.Module,
    examples: Sequence[dspy.Example],
    metric: Metric,
    lm: Any,
    *,
    stage: str,
    which: Literal["baseline", "optimized"] = "baseline",
    num_threads: int = 1,
) -> list[PredictionRecord]:
    """One record for each example, in the examples' order.

    An answer that cannot be used is failed: 0.0, counted. An example that the LM
    could not be asked about is unscored: no score, counted apart.

    Args:
        program: The program that answers.
        examples: The testset.
        metric: `(example, prediction) -> score`; its own errors are raised.
        lm: The `MeteredLM` that answers.
        stage: The ledger's name for these calls.
        which: The program's part in the comparison.
        num_threads: Examples at a time, 1 or more.

    Raises:
        NothingScoredError: The LM could not be asked about any example.
        PoOptimizerError: The LM stayed unreachable or a budget was reached.
    """

    def answer(index: int) -> PredictionRecord:
        record = _answer(program, examples[index], metric, index, which)
        _log(stage, record, len(examples))
        return record

    try:
        with use_lm(lm, stage=stage):
            records = _in_order(answer, len(examples), num_threads)
    except StopRun as stop:
        raise stop.as_error() from stop
    if records and not any(record.scored for record in records):
        raise NothingScoredError(which, len(records), records[0].reason)
    return records


def score_references(
    examples: Sequence[dspy.Example], metric: Metric
) -> list[PredictionRecord]:
    """The metric on the examples' own reference outputs: the ceiling, no program."""
    records = []
    for index, example in enumerate(examples):
        reference = dspy.Prediction(**dict(example.labels().items()))
        record = _blank(example, index, "reference")
        records.append(_scored(record, example, reference, metric))
    return records


def _in_order(
    answer: Callable[[int], PredictionRecord], n: int, num_threads: int
) -> list[PredictionRecord]:
    # Not dspy.Parallel: it gives up after max_errors, asks slow examples twice and
    # swallows what the worker raises.
    executor = ThreadPoolExecutor(max_workers=num_threads)
    futures = [
        executor.submit(contextvars.copy_context().run, answer, index)
        for index in range(n)
    ]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done():
                future.result()  # the first exception, before waiting for others
        return [future.result() for future in futures]
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _answer(
    program: dspy.Module,
    example: dspy.Example,
    metric: Metric,
    index: int,
    which: Which,
) -> PredictionRecord:
    record = _blank(example, index, which)
    started = time.perf_counter()
    with dspy.track_usage() as tracker:
        try:
            prediction = program(**example.inputs())
        except PROGRAM_FAILURES as error:
            record = _failed(record, error)
            prediction = None
        except LMError as error:
            return record.model_copy(
                update={"status": "unscored", "reason": _sentence(error)}
            )
    usage = _tokens(tracker)
    record = record.model_copy(
        update={"seconds": time.perf_counter() - started, **usage}
    )
    if prediction is None:
        return record
    return _scored(record, example, prediction, metric)


def _log(stage: str, record: PredictionRecord, n: int) -> None:
    score = "none" if record.score is None else f"{record.score:.3f}"
    logger.info(
        "%s: example %d of %d, %s %s, score=%s, %.1f s",
        stage,
        record.index + 1,
        n,
        record.example_id,
        record.status,
        score,
        record.seconds,
    )


def _blank(example: dspy.Example, index: int, which: Which) -> PredictionRecord:
    ids = [str(example[name]) for name in ID_FIELDS if example.get(name) is not None]
    strata = {
        name: str(example[name])
        for name in STRATA_FIELDS
        if example.get(name) is not None
    }
    return PredictionRecord(
        index=index,
        example_id=ids[0] if ids else str(index),
        which=which,
        strata=strata,
        inputs=json_ready(example.inputs().toDict()),
        status="ok",
    )


def _scored(
    record: PredictionRecord,
    example: dspy.Example,
    prediction: dspy.Prediction,
    metric: Metric,
) -> PredictionRecord:
    score = Score.of(metric(example, prediction))
    unusable = score.unusable is not None
    return PredictionRecord.model_validate(
        {
            **record.model_dump(),
            "outputs": json_ready(prediction.toDict()),
            "status": "failed" if unusable else "ok",
            "reason": score.unusable or "",
            "score": 0.0 if unusable else score.value,
            "rubric": score.rubric,
            "components": dict(score.components),
            "feedback": score.feedback,
        }
    )


def _failed(record: PredictionRecord, error: Exception) -> PredictionRecord:
    raw = getattr(error, "lm_response", None)
    return record.model_copy(
        update={
            "status": "failed",
            "score": 0.0,
            "reason": _sentence(error),
            "raw_text": None if raw is None else str(raw),
        }
    )


def _sentence(error: Exception) -> str:
    # An AdapterParseError repeats the whole answer, which stands in raw_text.
    text = str(error).strip().split("\n\nLM Response:")[0].strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _tokens(tracker: Any) -> dict[str, int | None]:
    totals = tracker.get_total_tokens().values()
    names = ("prompt_tokens", "completion_tokens")
    return {
        name: sum(int(total.get(name) or 0) for total in totals) if totals else None
        for name in names
    }
