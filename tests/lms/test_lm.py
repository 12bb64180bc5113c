"""Every call stands in the ledger and obeys the guards, whatever DSPy does with it."""

import asyncio
import copy
import json
import sqlite3
import threading
from dataclasses import replace

import dspy
import pytest
from dspy.clients import execution
from dspy.lm15 import Usage
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMTransportError,
)

from po_optimizer.errors import SettingError
from po_optimizer.lms import cache
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import LMNotReady, LMUnreachable, StopRun, WriteFailed
from tests.scripted import fixed_fields, scripted_lm

QA = "question -> answer"
ANSWER = fixed_fields(answer="42")
LOST = LMTransportError("connection refused")


class Enough(StopRun):
    """A guard's stop."""


def ask(lm, question="why?", **scope):
    """One program call on the LM."""
    with use_lm(lm, **{"stage": "test", **scope}):
        return dspy.Predict(QA)(question=question).answer


def failing(*errors):
    """Raises each error once, then answers."""
    left = list(errors)

    def answer(prompt):
        if left:
            raise left.pop(0)
        return ANSWER(prompt)

    return answer


def examples(n):
    """Examples with a question."""
    return [dspy.Example(question=f"q{i}").with_inputs("question") for i in range(n)]


def evaluate(lm, n=20, threads=4):
    """dspy.Evaluate with threads; the metric gives 1.0."""
    evaluation = dspy.Evaluate(
        devset=examples(n),
        metric=lambda example, prediction, trace=None: 1.0,
        num_threads=threads,
        display_progress=False,
        max_errors=1000,
    )
    with use_lm(lm, stage="evaluate"):
        return evaluation(dspy.Predict(QA))


def test_paid_call_is_recorded_with_usage_and_scope(tmp_path):
    """A row has tokens, cost, stage, trial and optimization of the call."""
    lm = scripted_lm(ANSWER, tmp_path)
    assert ask(lm, stage="optimize", trial=2, optimization_id="o") == "42"
    (row,) = lm.meter.ledger.rows()
    assert (row.stage, row.trial, row.optimization_id) == ("optimize", 2, "o")
    assert (row.paid, row.error, row.lm) == (True, None, "scripted")
    assert row.prompt_tokens > 0
    assert row.completion_tokens > 0
    assert row.cost_usd == 0.0


def test_cache_hit_is_recorded_as_unpaid(tmp_path):
    """The second identical call asks nobody and has its own row."""
    lm = scripted_lm(ANSWER, tmp_path)
    ask(lm)
    ask(lm)
    first, second = lm.meter.ledger.rows()
    assert (first.paid, second.paid) == (True, False)
    assert second.prompt_tokens is None
    assert len(lm.scripted.prompts) == 1


def test_cached_answers_survive_the_process(tmp_path):
    """A fresh LM over the same folder pays nothing."""
    ask(scripted_lm(ANSWER, tmp_path))
    lm = scripted_lm(failing(LOST, LOST, LOST, LOST), tmp_path)
    cache.caches.opened.clear()
    assert ask(lm) == "42"
    assert lm.scripted.prompts == []


def test_trial_of_the_meter_fills_in_for_the_scope(tmp_path):
    """Calls of optimizers, whose scope names no trial, get the running one."""
    lm = scripted_lm(ANSWER, tmp_path)
    lm.meter.trial = 7
    ask(lm, "one")
    ask(lm, "two", trial=1)
    assert [row.trial for row in lm.meter.ledger.rows()] == [7, 1]


def test_call_outside_a_context_is_recorded_as_such(tmp_path):
    """No call escapes the ledger, not even one that no stage made."""
    lm = scripted_lm(ANSWER, tmp_path)
    lm("hello")
    assert [row.stage for row in lm.meter.ledger.rows()] == ["outside"]


def test_guard_runs_before_each_paid_attempt_and_no_cached_one(tmp_path):
    """Cached answers are free: no guard is asked."""
    lm = scripted_lm(ANSWER, tmp_path)
    seen = []
    lm.meter.guards.append(lambda: seen.append(1))
    for question in ("one", "two", "one", "two"):
        ask(lm, question)
    assert len(seen) == 2


def test_cached_answer_passes_a_guard_that_forbids_payment(tmp_path):
    """A spent budget still lets a rerun read what was paid for."""
    lm = scripted_lm(ANSWER, tmp_path)
    ask(lm)

    def forbid():
        raise Enough

    lm.meter.guards.append(forbid)
    assert ask(lm) == "42"
    with pytest.raises(Enough):
        ask(lm, "something new")
    assert len(lm.scripted.prompts) == 1


def test_stop_holds_until_it_is_lifted(tmp_path):
    """After one StopRun every paid attempt raises it again, without asking guards."""
    lm = scripted_lm(ANSWER, tmp_path)
    stop = Enough()
    lm.meter.stopped = stop
    with pytest.raises(Enough) as raised:
        lm("hello")
    assert raised.value is stop
    lm.meter.resume()
    assert lm("hello")


def test_stop_inside_evaluate_with_threads_stops_the_run(tmp_path):
    """dspy.Evaluate swallows exceptions, but not a StopRun: at most one per thread."""
    lm = scripted_lm(ANSWER, tmp_path)
    lock, calls = threading.Lock(), []

    def limit():
        with lock:
            calls.append(1)
            if len(calls) > 5:
                raise Enough

    lm.meter.guards.append(limit)
    with pytest.raises(Enough):
        evaluate(lm, n=40, threads=4)
    assert len(lm.scripted.prompts) == 5


def test_threads_of_evaluate_record_under_their_stage(tmp_path):
    """8 threads x 40 calls: 40 rows, all with the stage of the caller."""
    lm = scripted_lm(ANSWER, tmp_path)
    evaluate(lm, n=40, threads=8)
    assert lm.meter.ledger.totals(stage="evaluate").paid == 40


def test_retries_are_separate_paid_rows_with_errors(tmp_path):
    """Two refusals and an answer: three attempts were made, three rows stand."""
    busy = [LMRateLimitError("slow down", retry_after=0) for _ in range(2)]
    lm = scripted_lm(failing(*busy), tmp_path, num_retries=2)
    assert ask(lm) == "42"
    rows = lm.meter.ledger.rows()
    assert [row.paid for row in rows] == [True, True, True]
    assert [bool(row.error) for row in rows] == [True, True, False]
    assert rows[0].error == "LMRateLimitError: slow down"


def test_guards_see_retries(tmp_path):
    """Each attempt may cost: a guard is asked before each."""
    busy = [LMRateLimitError("slow down", retry_after=0) for _ in range(2)]
    lm = scripted_lm(failing(*busy), tmp_path, num_retries=2)
    seen = []
    lm.meter.guards.append(lambda: seen.append(1))
    ask(lm)
    assert len(seen) == 3


def test_lm_out_of_reach_stops_the_run_after_the_retries(tmp_path):
    """The stop names LM and endpoint, says how to resume, and stays."""
    busy = [LMRateLimitError("slow down", retry_after=0) for _ in range(9)]
    lm = scripted_lm(failing(*busy), tmp_path, num_retries=1)
    with pytest.raises(LMUnreachable, match=r"scripted at scripted.*same command"):
        ask(lm)
    assert len(lm.scripted.prompts) == 2
    assert isinstance(lm.meter.stopped, LMUnreachable)


def test_unexpected_failure_of_the_engine_stops_the_run(tmp_path):
    """A defect below DSPy is not the program's failure."""
    lm = scripted_lm(failing(RuntimeError("boom")), tmp_path)
    with pytest.raises(LMUnreachable, match="boom"):
        ask(lm)


@pytest.mark.parametrize(
    "refusal", [ContextWindowExceededError(), LMInvalidRequestError("bad request")]
)
def test_refused_prompt_is_an_ordinary_error(tmp_path, refusal):
    """The LM is there and says no to this prompt: nothing is stopped."""
    lm = scripted_lm(failing(refusal), tmp_path)
    with pytest.raises(type(refusal)):
        lm("too long")
    assert lm.meter.stopped is None
    assert lm("short enough")


@pytest.mark.parametrize(
    "words",
    ["Your credit balance is too low", "API key not valid. Pass a valid API key."],
)
def test_refusal_of_the_account_is_no_refusal_of_the_prompt(tmp_path, words):
    """Some clouds say with 400 that nothing is answered any more: nothing is scored."""
    refusal = LMInvalidRequestError(words, status=400)
    lm = scripted_lm(failing(refusal), tmp_path)
    with pytest.raises(LMUnreachable, match=words):
        lm("hello")


def test_wrong_setting_stops_with_its_own_error(tmp_path):
    """What cannot even be asked is not retried; outside it is the setting's error."""
    lm = scripted_lm(ANSWER, tmp_path)
    error = SettingError("lm.api_base", None, "an address is needed", "Set it.")

    def connect():
        raise error

    lm.provider.connect = connect
    with pytest.raises(LMNotReady) as stop:
        ask(lm)
    assert stop.value.as_error() is error
    assert lm.meter.stopped is stop.value


def test_use_lm_lifts_an_earlier_stop(tmp_path):
    """The next node of the same process starts free."""
    lm = scripted_lm(ANSWER, tmp_path)
    lm.meter.stopped = Enough()
    assert ask(lm) == "42"


def test_copies_share_the_meter(tmp_path):
    """A copy with other settings, or inside a copied program, is metered too."""
    lm = scripted_lm(ANSWER, tmp_path)
    program = dspy.Predict(QA)
    program.set_lm(lm)
    copied = copy.deepcopy(program)
    assert lm.copy(temperature=0.5).meter is lm.meter
    assert copied.get_lm().meter is lm.meter
    lm.copy(temperature=0.5)("hello")
    assert lm.meter.ledger.totals().paid == 1


def test_callbacks_are_set_for_the_block(tmp_path):
    """DSPy's callbacks of the caller see the calls."""

    class Listener(dspy.utils.callback.BaseCallback):
        calls = 0

        def on_lm_start(self, call_id, instance, inputs):
            self.calls += 1

    listener = Listener()
    ask(scripted_lm(ANSWER, tmp_path), callbacks=[listener])
    assert listener.calls == 1


@pytest.mark.parametrize("adapter", ["json", "chat", "xml"])
def test_adapter_follows_the_parameters(tmp_path, adapter):
    """`lm.adapter` chooses how DSPy asks."""
    lm = scripted_lm(ANSWER, tmp_path, adapter=adapter)
    ask(lm)
    asked = lm.scripted.prompts[0]
    assert ("<question>" in asked) == (adapter == "xml")
    assert ("[[ ## question ## ]]" in asked) == (adapter != "xml")
    assert ("Respond with a JSON object" in asked) == (adapter == "json")


@pytest.mark.parametrize(
    ("adapter", "answer"),
    [("json", ANSWER), ("chat", lambda prompt: "[[ ## answer ## ]]\n42")],
)
def test_what_a_program_says_always_comes_first(tmp_path, adapter, answer):
    """Instructions and demos stand before the example, as a prefix cache wants them."""
    lm = scripted_lm(answer, tmp_path, adapter=adapter)
    program = dspy.Predict(QA)
    program.demos = [dspy.Example(question="a demo", answer="1")]
    with use_lm(lm, stage="test"):
        for question in ("first", "second"):
            program(question=question)
    one, two = lm.scripted.prompts
    assert one.partition("first")[0] == two.partition("second")[0]
    assert "a demo" in one.partition("first")[0]


@pytest.mark.parametrize("wanted", ["json_schema", "json_object", "none"])
def test_response_format_follows_the_parameters(tmp_path, wanted):
    """`lm.structured_output` says what the server is asked to guarantee."""
    lm = scripted_lm(ANSWER, tmp_path, structured_output=wanted)
    formats = []
    complete = lm.scripted.complete

    def listening(request):
        formats.append(request.config.response_format)
        return complete(request)

    lm.scripted.complete = listening
    ask(lm)
    text = json.dumps(formats[0])
    assert ('"properties"' in text) == (wanted == "json_schema")
    assert (formats[0] is None) == (wanted == "none")


def test_ledger_that_cannot_be_written_stops_the_run(tmp_path, monkeypatch):
    """A full disk is our failure: no example is scored 0.0 for it."""
    lm = scripted_lm(ANSWER, tmp_path)

    def full(row):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(lm.meter.ledger, "record", full)
    with pytest.raises(WriteFailed, match=r"disk is full.*Make room"):
        evaluate(lm, n=4, threads=2)
    assert isinstance(lm.meter.stopped, WriteFailed)


@pytest.mark.parametrize("tokens", [10**30, 10**12])
def test_tokens_that_no_call_has_are_unknown(tmp_path, monkeypatch, tokens):
    """Whichever client read them: the answer counts and stands in the ledger."""
    lm = scripted_lm(fixed_fields(answer="x\ud83d"), tmp_path)
    usage = Usage(input_tokens=tokens, output_tokens=tokens)
    complete = lm.scripted.complete
    monkeypatch.setattr(
        lm.scripted, "complete", lambda r: replace(complete(r), usage=usage)
    )
    lm("question")
    (row,) = lm.meter.ledger.rows()
    assert (row.paid, row.prompt_tokens, row.completion_tokens) == (True, None, None)


def test_one_request_has_one_answer_whichever_way_it_is_asked(tmp_path):
    """DSPy 3.5 asks by requests: they are metered, and find the answers of texts."""
    lm = scripted_lm(ANSWER, tmp_path)
    sent = []
    complete = lm.scripted.complete
    lm.scripted.complete = lambda request: sent.append(request) or complete(request)
    with use_lm(lm, stage="test"):
        lm("hello")
        call = execution.prepare(lm, sent[0], None, {})
        result = execution.execute(lm, call)  # as `generate` does
        awaited = asyncio.run(execution.aexecute(lm, call))
    assert result.responses == awaited.responses
    assert [row.paid for row in lm.meter.ledger.rows()] == [True, False, False]


def test_schema_of_a_signature_is_made_once_and_follows_its_fields(tmp_path):
    """Another output, or the same signature with another type, has another schema."""
    adapter = scripted_lm(ANSWER, tmp_path).adapter
    lm = scripted_lm(ANSWER, tmp_path)

    def schema(signature):
        arguments = {}
        adapter._prepare_response_format(lm, arguments, signature)
        return arguments["response_format"]

    signature = dspy.Signature("question -> answer: int")
    assert schema(signature) is schema(signature)
    assert schema(signature) is not schema(dspy.Signature("question -> answer: str"))
    before = schema(signature)
    signature.model_fields["answer"].annotation = str
    assert schema(signature) is not before
