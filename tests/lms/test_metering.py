"""Every LM that a run calls is metered: judges, pinned ones, ones of other classes."""

import asyncio
import copy
import threading
from types import SimpleNamespace

import dspy
import pytest
from dspy.clients import execution
from dspy.lm15 import (
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    TextDelta,
    Usage,
)
from dspy.utils.exceptions import LMInvalidRequestError, LMTransportError

from po_optimizer.lms import cache
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import LMUnreachable, StopRun
from tests.scripted import ScriptedEngine, fixed_fields, scripted_lm
from tests.servers.wire import serving

QA = "question -> answer"
ANSWER = fixed_fields(answer="42")
SECRET = "sk-canary-of-a-judge"


class Enough(StopRun):
    """A guard's stop."""


class Plain(dspy.BaseLM):
    """An LM of one's own, as people write them: its forward asks some client."""

    error: Exception | None = None

    def forward(self, prompt=None, messages=None, **kwargs):
        """OpenAI's shape."""
        if self.error is not None:
            raise self.error
        message = SimpleNamespace(content="hi")
        choice = SimpleNamespace(message=message, finish_reason="stop")
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        return SimpleNamespace(model=self.model, usage=usage, choices=[choice])

    async def aforward(self, prompt=None, messages=None, **kwargs):
        """The same, awaited."""
        return self.forward(prompt, messages)


class Direct(dspy.BaseLM):
    """An LM that leaves DSPy's way of calling."""

    def __call__(self, prompt=None, messages=None, **kwargs):
        """A list of texts."""
        return ["direct"]


class Logging(dspy.LM):
    """An LM that does something of its own and leaves the rest to DSPy."""

    def __call__(self, *args, **kwargs):
        """DSPy's call."""
        return super().__call__(*args, **kwargs)

    def forward(self, *args, **kwargs):
        """DSPy's way."""
        return super().forward(*args, **kwargs)


def judge(answer=ANSWER, kind=dspy.LM, **kwargs):
    """An LM that is not the run's, with an engine that counts."""
    engine = ScriptedEngine(answer)
    return kind("house/judge", engine=engine, num_retries=0, **kwargs), engine


def rows(lm):
    """Each call of the run: which LM, whether it was paid."""
    return [(row.lm, row.paid) for row in lm.meter.ledger.rows()]


@pytest.fixture
def lm(tmp_path):
    """The run's LM."""
    return scripted_lm(ANSWER, tmp_path)


def test_judges_call_stands_in_the_ledger_under_its_name(lm):
    """A row has its model, the stage of the run and what was reported."""
    other, _ = judge()
    with use_lm(lm, stage="optimize", optimization_id="o", trial=2):
        other("is it good?")
    (row,) = lm.meter.ledger.rows()
    assert (row.lm, row.stage, row.trial) == ("house-judge", "optimize", 2)
    assert (row.optimization_id, row.paid, row.error) == ("o", True, None)
    assert row.prompt_tokens > 0
    assert row.cost_usd is None


def test_pinned_predictor_of_a_copied_program_is_metered(lm):
    """`set_lm` in a constructor, deep copies and DSPy's threads change nothing."""
    other, _ = judge()
    program = dspy.Predict(QA)
    program.set_lm(other)
    examples = [dspy.Example(question=f"q{i}").with_inputs("question") for i in "abcd"]
    with use_lm(lm, stage="evaluate"):
        dspy.Evaluate(
            devset=examples, metric=lambda *_: 1.0, num_threads=8, max_errors=99
        )(copy.deepcopy(program))
    assert rows(lm) == [("house-judge", True)] * 4


def test_answers_are_kept_in_the_projects_cache(lm, tmp_path):
    """Another process pays nothing again, and two endpoints share no answer."""
    for address in ("http://one", "http://two", "http://one"):
        other, _ = judge()
        other.engine.address = address
        cache.caches.opened.clear()
        with use_lm(lm, stage="test"):
            other("hello")
    assert [paid for _, paid in rows(lm)] == [True, True, False]
    assert len(list((tmp_path / "response_cache").iterdir())) == 2


def test_guard_stops_before_a_judges_payment(lm):
    """A budget holds over all LMs: the stop passes the program's own `except`."""
    other, engine = judge()

    def limit():
        if engine.prompts:
            raise Enough

    lm.meter.guards.append(limit)
    with use_lm(lm, stage="test"):
        other("one")
        other("one")  # from the cache
        with pytest.raises(Enough):
            other("two")
        with pytest.raises(Enough):
            lm("the run's LM is stopped, too")
    assert len(engine.prompts) == 1


def test_judge_out_of_reach_stops_the_run_without_its_address(lm):
    """What a judge could not say is no 0.0; no address or key is in the ledger."""

    def refuse(prompt):
        raise LMTransportError(f"no http://private.host:1/v1 for {SECRET}")

    other, _ = judge(refuse, kind=Logging)
    other.kwargs |= {"api_base": "http://private.host:1/v1", "api_key": SECRET}
    with use_lm(lm, stage="test"), pytest.raises(LMUnreachable) as stop:
        dspy.Predict(QA)(question="why?", lm=other)
    (row,) = lm.meter.ledger.rows()
    assert "house-judge at its own endpoint" in str(stop.value)
    assert "***" in row.error
    for text in (row.error, str(stop.value)):
        assert "private.host" not in text
        assert SECRET not in text


def test_prompt_that_a_judge_refuses_is_an_ordinary_error(lm):
    """The judge is there: nothing is stopped."""

    def refuse(prompt):
        raise LMInvalidRequestError("no", status=400)

    other, _ = judge(refuse)
    with use_lm(lm, stage="test"):
        with pytest.raises(LMInvalidRequestError):
            other("bad")
        assert lm("good")


@pytest.mark.parametrize("awaited", [False, True])
def test_class_with_a_forward_of_its_own_is_metered(lm, awaited):
    """Called by DSPy or directly, awaited or not: one row a call, with its usage."""
    other = Plain("plain/x")
    with use_lm(lm, stage="test"):
        if awaited:
            assert asyncio.run(other.acall("hello")) == ["hi"]
            asyncio.run(other.aforward("hello"))
        else:
            assert other("hello") == ["hi"]
            other.forward("hello")
    assert rows(lm) == [("plain-x", True)] * 2
    assert [row.completion_tokens for row in lm.meter.ledger.rows()] == [4, 4]


class ByLiteLLM(dspy.BaseLM):
    """An LM of one's own that gives what LiteLLM gave it."""

    def forward(self, prompt=None, messages=None, **kwargs):
        """The form of OpenAI's responses, and LiteLLM's price beside it."""
        message = SimpleNamespace(content="hi")
        choice = SimpleNamespace(message=message, finish_reason="stop")
        usage = {"input_tokens": 3, "output_tokens": 0}
        price = {"response_cost": 0.25}
        return SimpleNamespace(
            model=self.model, usage=usage, choices=[choice], _hidden_params=price
        )


def test_what_litellm_says_of_a_call_is_recorded(lm):
    """Tokens under either protocol's names, and the cost."""
    with use_lm(lm, stage="test"):
        ByLiteLLM("own/x")("hello")
    (row,) = lm.meter.ledger.rows()
    assert (row.prompt_tokens, row.completion_tokens, row.cost_usd) == (3, 0, 0.25)


def test_class_that_leaves_dspys_way_is_metered(lm):
    """An overridden `__call__` is counted and guarded, though it says no tokens."""
    lm.meter.guards.append(lambda: None)
    with use_lm(lm, stage="test"):
        assert Direct("direct")("hello") == ["direct"]
        lm.meter.stopped = Enough()
        with pytest.raises(Enough):
            Direct("direct")("hello")
    assert rows(lm) == [("direct", True)]


def test_class_that_asks_dspys_way_is_counted_once(lm):
    """Overridden methods that end in super() are no second call; the cache serves."""
    other, engine = judge(kind=Logging)
    with use_lm(lm, stage="test"):
        other("hello")
        other("hello")
    assert rows(lm) == [("house-judge", True), ("house-judge", False)]
    assert len(engine.prompts) == 1


def test_error_of_ones_own_class_is_the_programs_unless_nobody_answered(lm):
    """A lost connection stops the run, another error is raised as DSPy would."""
    other = Plain("plain/x")
    with use_lm(lm, stage="test"):
        other.error = KeyError("mine")
        with pytest.raises(KeyError):
            other("hello")
        other.error = ConnectionResetError("gone")
        with pytest.raises(LMUnreachable, match="gone"):
            other("hello")
    assert [row.error for row in lm.meter.ledger.rows()] == [
        "KeyError: 'mine'",
        "ConnectionResetError: gone",
    ]


def test_thread_without_a_context_is_metered(lm):
    """A program's own threads know nothing of the run; it pays nevertheless."""
    other, _ = judge()
    with use_lm(lm, stage="test"):
        thread = threading.Thread(target=other, args=("hello",))
        thread.start()
        thread.join()
    assert rows(lm) == [("house-judge", True)]


def test_awaited_calls_are_metered_and_cached(lm):
    """More calls at once than threads, equal ones too: none waits for ever."""
    program = dspy.Predict(QA)

    async def ask_all():
        calls = [program.acall(question=f"q{i % 3}") for i in range(40)]
        return await asyncio.gather(*calls)

    with use_lm(lm, stage="test"):
        assert len(asyncio.run(ask_all())) == 40
        n_paid = lm.meter.ledger.totals().paid
        asyncio.run(ask_all())
    totals = lm.meter.ledger.totals()
    assert totals.paid == n_paid
    assert totals.paid + totals.cached == 80


def test_failed_awaited_call_lets_others_ask(lm):
    """Nobody waits for an answer that will not come."""
    replies = iter([LMInvalidRequestError("no", status=400)])

    def answer(prompt):
        for error in replies:
            raise error
        return ANSWER(prompt)

    lm.scripted.answer = answer
    with use_lm(lm, stage="test"):
        with pytest.raises(LMInvalidRequestError):
            asyncio.run(lm.acall("hello"))
        assert lm("hello")


def test_everything_is_as_before_when_the_run_is_over(lm):
    """DSPy, people's classes and LMs are untouched but for their history."""
    other = Plain("plain/x")
    before = (execution.execute, execution.aexecute, execution._engine)
    own, state = Plain.forward, dict(vars(other))
    with use_lm(lm, stage="a"):
        with use_lm(lm, stage="b"):
            other("hello")
        assert Plain.forward is not own
        history = other.history
    assert Plain.forward is own
    assert before == (execution.execute, execution.aexecute, execution._engine)
    assert vars(other) == {**state, "history": history}


def test_outside_of_a_run_nothing_is_metered(lm):
    """A notebook's own calls are its own."""
    other, _ = judge(cache=False)
    other("hello")
    assert rows(lm) == []


class Streaming(ScriptedEngine):
    """An engine that gives its answer in pieces."""

    def stream(self, request):
        """Two pieces, then what they took."""
        yield StreamStartEvent(id=None, model=request.model)
        for text in ('{"answer": ', '"42"}'):
            yield StreamDeltaEvent(TextDelta(text=text, part_index=0))
        usage = Usage(input_tokens=3, output_tokens=4)
        yield StreamEndEvent(finish_reason="stop", usage=usage)


def test_streamed_answer_is_metered(lm):
    """One row, with the usage that the last piece tells."""
    other = dspy.LM("house/judge", engine=Streaming(ANSWER))
    program = dspy.streamify(dspy.Predict(QA))

    async def ask():
        return [piece async for piece in program(question="why?", lm=other)][-1]

    with use_lm(lm, stage="test"):
        assert asyncio.run(ask()).answer == "42"
    (row,) = lm.meter.ledger.rows()
    assert (row.lm, row.prompt_tokens, row.completion_tokens) == ("house-judge", 3, 4)


def test_streamed_program_gets_the_answer_of_the_runs_own_lm(lm):
    """In one piece, for it is cleaned first; it is metered and priced like others."""
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    program = dspy.streamify(dspy.Predict(QA), stream_listeners=[listener])

    async def ask():
        return [piece async for piece in program(question="why?")]

    with use_lm(lm, stage="test"):
        pieces = asyncio.run(ask())
    assert pieces[-1].answer == "42"
    (row,) = lm.meter.ledger.rows()
    assert (row.paid, row.error, row.cost_usd) == (True, None, 0.0)
    assert row.completion_tokens > 0


def test_awaited_calls_over_the_wire_are_metered(lm):
    """DSPy's own engine for loops: what the server counts stands in the ledger."""
    with serving(ANSWER) as server, use_lm(lm, stage="test"):
        address = f"{server.address}/v1"
        other = dspy.LM("openai/big", api_base=address, api_key=SECRET)

        async def ask_all():
            program = dspy.Predict(QA)
            await asyncio.gather(
                *(program.acall(question=q, lm=other) for q in "abcab")
            )

        asyncio.run(ask_all())
        n_asked = len(server.chats)
        asyncio.run(ask_all())
    totals = lm.meter.ledger.totals()
    assert len(server.chats) == n_asked == totals.paid
    assert totals.cached == 10 - n_asked


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_calls_over_the_wire_are_what_the_server_counts(lm, engine, tmp_path):
    """DSPy's own engine and LiteLLM: each attempt is a row, no key is in any file."""
    with serving(ANSWER) as server, use_lm(lm, stage="test"):
        other = dspy.LM(
            "openai/big", api_base=f"{server.address}/v1", api_key=SECRET, engine=engine
        )
        for question in ("one", "two", "one"):
            dspy.Predict(QA)(question=question, lm=other)
        assert len(server.chats) == 2
    assert rows(lm) == [("openai-big", True)] * 2 + [("openai-big", False)]
    assert all(row.prompt_tokens for row in lm.meter.ledger.rows() if row.paid)
    files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    texts = b"".join(files)
    assert SECRET.encode() not in texts
    assert str(server.server_port).encode() not in texts
