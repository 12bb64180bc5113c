"""Faults on the wire: what the user reads, and what stands in the ledger."""

import logging
import threading
import time
from contextlib import contextmanager

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError
from dspy.utils.parallelizer import ParallelExecutor

from po_optimizer.lms.build import make_lm
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import Interrupted, LMNotReady, LMUnreachable, StopRun
from po_optimizer.params.lm import LMParams
from tests.servers import google
from tests.servers.wire import _openai as openai_answer
from tests.servers.wire import serving

KEY = "sk-canary-0123456789"
PROVIDERS = ["openai", "ollama", "vertex"]


@pytest.fixture
def server():
    """A server of all three wire formats that answers {"answer": "42"}."""
    with serving(lambda prompt: '{"answer": "42"}') as running:
        yield running


@pytest.fixture
def made(server, tmp_path, monkeypatch):
    """A function that makes an LM of a provider on the server."""
    monkeypatch.setattr("time.sleep", short(time.sleep))

    def make(provider, **params):
        if provider == "vertex":
            google.log_in(monkeypatch, tmp_path, server.address)
        model = "gemini-2.5-flash" if provider == "vertex" else "m"
        chosen = {"api_base": server.address, "num_retries": 1, **params}
        settings = LMParams(provider=provider, model=model, **chosen)
        return make_lm(settings, tmp_path / provider, run_id="r", api_key=KEY)

    return make


def short(sleep):
    """A sleep that remembers how long it was to be."""

    def wait(seconds):
        wait.asked.append(seconds)
        sleep(min(seconds, 0.01))

    wait.asked = []
    return wait


def ask(lm, question="why?"):
    """One program call."""
    with use_lm(lm, stage="test"):
        return dspy.Predict("question -> answer")(question=question).answer


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "fault", ["429 with Retry-After", "429", "500", "503", "reset"]
)
def test_passing_fault_is_retried(server, made, provider, fault):
    """Once more is enough: the answer comes, and both attempts are in the ledger."""
    server.faults = [fault]
    lm = made(provider)
    assert ask(lm) == "42"
    failed, answered = lm.meter.ledger.rows()
    assert failed.error and failed.completion_tokens is None
    assert answered.error is None and answered.prompt_tokens > 0
    assert len(server.chats) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_retry_after_is_waited_for(server, made, provider):
    """The server says two seconds; without it the wait would be one."""
    server.faults = ["429 with Retry-After"]
    ask(made(provider))
    assert time.sleep.asked.count(1.0) == 2


def stop_after(steps, lm, stop):
    """A sleep that ends the run in the middle of a wait, and how often it was asked."""

    def sleep(seconds):
        sleep.asked += [seconds] if seconds else []
        if len(sleep.asked) == steps:
            stop(lm)

    sleep.asked = []
    return sleep


def interrupt(lm):
    """What the first Ctrl-C does."""
    lm.meter.stopped = Interrupted()


def end_budget(lm):
    """What a budget does when its time is over."""

    def guard():
        raise StopRun("max_minutes")

    lm.meter.guards.append(guard)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("stop", [interrupt, end_budget])
def test_long_wait_can_be_ended(server, made, monkeypatch, provider, stop):
    """A day's Retry-After holds neither Ctrl-C nor the budget up for a second."""
    server.faults = ["429 for a day"]
    lm = made(provider)
    sleep = stop_after(3, lm, stop)
    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(StopRun):
        ask(lm)
    assert sleep.asked == [1.0] * 3
    assert len(server.chats) == 1


def test_long_wait_is_said(server, made, monkeypatch, caplog):
    """Nobody wonders for a day what the run is doing."""
    server.faults = ["429 for a day"]
    lm = made("openai")
    monkeypatch.setattr("time.sleep", stop_after(1, lm, interrupt))
    with caplog.at_level(logging.WARNING), pytest.raises(StopRun):
        ask(lm)
    assert "asked again in 86400 s" in caplog.text


def test_wait_of_a_call_that_ended_is_not_the_next_ones(server, made):
    """The last attempt's Retry-After delays nobody."""
    server.faults = ["429 for a day"]
    lm = made("openai", num_retries=0)
    with pytest.raises(LMUnreachable):
        ask(lm)
    lm.meter.resume()
    assert ask(lm) == "42"
    assert time.sleep.asked == []


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["429", "500", "reset", "401", "404"])
def test_lasting_fault_stops_the_run(server, made, provider, fault):
    """The program is not scored 0.0 for it; every attempt is in the ledger."""
    server.faults = [fault] * 9
    lm = made(provider)
    with pytest.raises(LMUnreachable, match="the same command resumes") as stop:
        ask(lm)
    assert KEY not in str(stop.value)
    assert "\n" not in str(stop.value)
    rows = lm.meter.ledger.rows()
    assert len(rows) == (1 if fault in {"401", "404"} else 2)
    assert all(row.error for row in rows)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_broken_json_is_retried(server, made, provider):
    """An answer cut on its way is not the program's failure."""
    server.faults = ["truncated JSON"]
    assert ask(made(provider)) == "42"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["empty answer", "cut by length"])
def test_unusable_answer_is_the_programs_failure(server, made, provider, fault):
    """It was paid for and answered: the row has tokens and no error."""
    server.faults = [fault] * 9
    lm = made(provider)
    with pytest.raises(AdapterParseError):
        ask(lm)
    assert all(row.error is None for row in lm.meter.ledger.rows())
    assert lm.meter.ledger.totals().completion_tokens > 0


@pytest.mark.parametrize(
    "case",
    [
        ("openai", "cut by length", "was cut at lm.max_tokens=1200"),
        ("ollama", "cut by length", "was cut at lm.max_tokens=1200"),
        ("vertex", "cut by length", "was cut at lm.max_tokens=1200"),
        ("openai", "blocked", "withheld by the server's filter"),
        ("vertex", "blocked", "withheld by the server's filter"),
        ("openai", "blocked by 400", "withheld by the server's filter"),
        ("vertex", "blocked by 400", "withheld by the server's filter"),
    ],
)
def test_answer_that_is_not_whole_is_said_once(server, made, case, caplog):
    """The log names the cause and the setting."""
    provider, fault, says = case
    server.faults = [fault] * 9
    lm = made(provider)
    with heard(caplog):
        for _ in range(2):
            with pytest.raises(AdapterParseError):
                ask(lm)
    said = {id(record) for record in caplog.records if says in record.getMessage()}
    assert len(said) == 1


@contextmanager
def heard(caplog):
    """The log of the metered LM, whatever a Kedro run of another test did to it."""
    logger = logging.getLogger("po_optimizer.lms.lm")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level("WARNING"):
            yield
    finally:
        logger.removeHandler(caplog.handler)


def test_answer_of_another_model_is_said_once(server, made, caplog):
    """Servers that answer whatever name they are asked for: results have that name."""
    server.faults = ["wrong model"] * 2
    lm = made("openai")
    with heard(caplog):
        for question in ("why?", "how?", "who?"):
            ask(lm, question)
    said = {
        id(record) for record in caplog.records if "other-7b" in record.getMessage()
    }
    assert len(said) == 1
    assert [row.error for row in lm.meter.ledger.rows()] == [None] * 3


@pytest.mark.parametrize("named", ["m", "M-2026-11-01", "/models/org/m.gguf"])
def test_version_or_file_of_the_model_is_no_other(
    server, made, caplog, monkeypatch, named
):
    """Servers say more than the name that they were asked for."""
    monkeypatch.setattr(
        "tests.servers.wire._openai",
        lambda body, *rest: {**openai_answer(body, *rest), "model": named},
    )
    with heard(caplog):
        ask(made("openai"))
    assert not caplog.records


def test_slow_answer_is_paid_once(server, made):
    """An answer within the timeout is waited for, not asked for again."""
    server.faults = ["slow"]
    lm = made("openai", timeout_seconds=30.0)
    assert ask(lm) == "42"
    assert len(server.chats) == len(lm.meter.ledger.rows()) == 1


def test_silence_past_the_timeout_stops_the_run(server, made):
    """Every attempt is in the ledger."""
    server.faults = ["slow"] * 9
    lm = made("openai", timeout_seconds=0.2)
    with pytest.raises(LMUnreachable):
        ask(lm)
    assert len(lm.meter.ledger.rows()) == 2


def test_server_that_goes_away_stops_the_run(server, made):
    """Refused connections in mid-run: the answer before them is kept and counted."""
    server.faults = ["last answer"]
    lm = made("ollama")
    ask(lm)
    server.shutdown()
    server.server_close()
    with pytest.raises(LMUnreachable, match="the same command resumes"):
        ask(lm, "how?")
    errors = [row.error for row in lm.meter.ledger.rows()]
    assert [error is None for error in errors] == [True, False, False]
    assert ask(lm) == "42"


def test_straggler_is_paid_once(server, made):
    """DSPy's own pool submits the last examples again after 120 s, here 0.3 s.

    The server keeps its answers back until that has happened.
    """
    again = threading.Event()
    server.answer = lambda prompt: again.wait(60) and '{"answer": "42"}'
    lm = made("openai", num_threads=3)
    given = [
        dspy.Example(question=f"{number}?").with_inputs("question")
        for number in range(5)
    ]
    pool = ParallelExecutor(num_threads=6, timeout=0.3, straggler_limit=5)
    program = dspy.Predict("question -> answer")
    submitted = []

    def run(example):
        submitted.append(example.question)
        if len(submitted) > len(given):
            threading.Timer(0.2, again.set).start()
        return program(**example.inputs()).answer

    with use_lm(lm, stage="test"):
        assert pool.execute(run, given) == ["42"] * 5
    assert len(submitted) > len(given)
    assert len(server.chats) == len(given)
    assert sum(row.paid for row in lm.meter.ledger.rows()) == len(given)


def test_server_that_is_not_there_costs_nothing(made):
    """Nothing is in the ledger, and the error has the command that mends it."""
    lm = made("ollama", api_base="http://127.0.0.1:9")
    with pytest.raises(LMNotReady, match="ollama serve"):
        ask(lm)
    assert lm.meter.ledger.rows() == []


def test_wrong_model_costs_nothing(server, made):
    """Ollama would answer 404 to each call."""
    server.models = ["other:latest"]
    with pytest.raises(LMNotReady, match="ollama pull m"):
        ask(made("ollama"))
    assert server.chats == []


def test_local_answers_are_free_and_cloud_answers_priced(made):
    """Ollama on one's own machine costs nothing; an OpenAI server is unknown."""
    costs = {}
    for provider in PROVIDERS:
        lm = made(provider)
        ask(lm)
        costs[provider] = lm.meter.ledger.totals().cost_usd
    assert costs["ollama"] == 0.0
    assert costs["openai"] is None
    assert costs["vertex"] > 0


def test_key_of_another_environment_is_not_sent_to_google(server, made):
    """Vertex AI gets the token of the Google credentials only."""
    ask(made("vertex"))
    sent = [str(headers) + str(body) for _, headers, body in server.requests]
    assert not any(KEY in each for each in sent)


def test_server_that_reports_no_tokens_has_an_unknown_cost(made, monkeypatch):
    """No prompt has 0 tokens: unknown is None, never 0.0 dollars."""
    none = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    monkeypatch.setattr("tests.servers.wire._gemini_usage", lambda *sizes: none)
    lm = made("vertex")
    ask(lm)
    (row,) = lm.meter.ledger.rows()
    assert (row.prompt_tokens, row.completion_tokens, row.cost_usd) == (None,) * 3
