"""Thinking aloud is no part of an answer; what merely names the tags stays."""

import json

import dspy
import pytest
from dspy.lm15 import InvalidRequestError, request_from_openai_chat

from po_optimizer.lms.answer_repair import without_thoughts
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.engine import ProviderEngine
from po_optimizer.lms.lm import use_lm
from po_optimizer.params.lm import LMParams
from tests.scripted import ScriptedEngine, given_provider
from tests.servers.wire import serving


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<think>draft</think>answer", "answer"),
        ("  <think>\ndraft\n</think>\n\nanswer", "answer"),
        ("<THINKING>draft</THINKING>\nanswer", "answer"),
        ("<think>a</think> <think>b</think> answer", "answer"),
        ("one\n<think>draft</think>\ntwo", "one\n\ntwo"),
        ("Sure. <think>a\ndraft</think> answer", "Sure.  answer"),
        ("<think>a <think>b</think> c</think>answer", "answer"),
        ("draft without a beginning\n</think>\nanswer", "answer"),
        ("</think>answer", "answer"),
        ("<think>never closed", ""),
        ("answer\n<think>\nand never closed", "answer"),
        ("no tag at all <b>", "no tag at all <b>"),
        ("Close it with </think> at the end.", "Close it with </think> at the end."),
        ('{"a": "write <think>x</think> first"}',) * 2,
        ("Write:\n```\n<think>x</think>\n```",) * 2,
        ("The tag <think> is never closed.",) * 2,
    ],
)
def test_thoughts_are_taken_out_and_mentions_stay(text, kept):
    """What begins a line or holds several is a thought; the rest is the answer."""
    assert without_thoughts(text) == kept


@pytest.mark.parametrize("adapter", ["json", "chat"])
def test_draft_in_the_tags_is_not_the_answer(tmp_path, adapter):
    """Neither adapter reads what a model thought before it answered."""

    def text(word):
        fields = {"json": json.dumps({"answer": word})}
        return fields.get(adapter, f"[[ ## answer ## ]]\n{word}\n\n")

    def answer(prompt):
        return f"<think>\nPerhaps:\n{text('draft')}\nno.\n</think>\n{text('final')}"

    with serving(answer) as server:
        params = LMParams(
            provider="openai", model="m", api_base=server.address, adapter=adapter
        )
        with use_lm(make_lm(params, tmp_path, run_id="r"), stage="test"):
            assert dspy.Predict("question -> answer")(question="?").answer == "final"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("content_filter", "The response was filtered"),
        ("content_policy_violation", "Your request was rejected"),
        (
            None,
            "The response was filtered due to the prompt triggering Azure OpenAI's "
            "content management policy",
        ),
        (
            None,
            "The prompt contains words that violate Google's Responsible AI practices",
        ),
        (None, "Prompt blocked: PROHIBITED_CONTENT"),
    ],
)
def test_filter_as_an_error_is_the_same_as_in_an_answer(code, words):
    """OpenAI's, Azure's and Vertex AI's wording: an empty answer that was withheld."""

    def refuse(prompt):
        raise InvalidRequestError(words, status=400, provider_code=code)

    answer = refusing(refuse).complete(_request())
    assert answer.finish_reason == "content_filter"
    assert answer.message.text in {"", None}


def test_other_refusals_of_a_prompt_are_errors():
    """A prompt with a wrong argument was not withheld."""

    def refuse(prompt):
        raise InvalidRequestError("max_tokens is too large", status=400)

    with pytest.raises(InvalidRequestError):
        refusing(refuse).complete(_request())


def refusing(refuse):
    """The engine of a provider whose LM refuses."""
    return ProviderEngine(given_provider(LMParams(), ScriptedEngine(refuse)))


def _request():
    message = {"role": "user", "content": "hello"}
    return request_from_openai_chat({"model": "m", "messages": [message]})
