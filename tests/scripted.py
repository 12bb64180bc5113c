"""A scripted LM: a real MeteredLM whose engine answers from a function.

It is a DSPy engine, so DSPy's retries, response cache and callbacks are the real ones.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dspy.lm15 import Message, Request, Response, TextPart, Usage

from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.lms.meter import Meter
from po_optimizer.lms.providers import Provider, make_provider
from po_optimizer.params.lm import LMParams

Answer = Callable[[str], str]
"""The whole prompt as text -> the LM's text; it may raise."""


class ScriptedEngine:
    """Answers by a function of the prompt; counts what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.prompts: list[str] = []

    def complete(self, request: Request) -> Response:
        """One answer; tokens are words."""
        prompt = prompt_text(request)
        self.prompts.append(prompt)
        text = self.answer(prompt)
        usage = Usage(input_tokens=len(prompt.split()), output_tokens=len(text.split()))
        message = Message(role="assistant", parts=(TextPart(text=text),))
        return Response(
            id=None,
            model=request.model,
            message=message,
            finish_reason="stop",
            usage=usage,
        )


def prompt_text(request: Request) -> str:
    """System and messages of a request, joined by newlines."""
    system = request.system if isinstance(request.system, str) else ""
    return "\n".join([system, *(message.text or "" for message in request.messages)])


def scripted_lm(answer: Answer, folder: Path, **params: Any) -> MeteredLM:
    """A MeteredLM that answers by `answer`; its engine is `lm.scripted`."""
    params.setdefault("model", "scripted")
    params.setdefault("num_threads", 1)
    settings = LMParams(**{"provider": "openai", **params})
    scripted = ScriptedEngine(answer)
    provider = given_provider(settings, scripted)
    meter = Meter(Ledger(folder / "ledger.sqlite"), "test-run", "scripted")
    lm = MeteredLM(provider, meter, folder=folder)
    lm.where = "scripted"
    lm.scripted = scripted
    return lm


def given_provider(params: LMParams, engine: Any) -> Provider:
    """A provider whose LM is asked by this engine; calls cost nothing."""
    provider = make_provider(params)
    provider.connect = lambda: engine
    provider.cost = lambda answer: 0.0
    provider.check_provider = list  # no server is there to be looked at
    return provider


def answer_of(
    prompt: int | None, completion: int | None, raw: Any = None, **more: int
) -> Response:
    """An answer that took so many tokens, and what the server sent beside it."""
    usage = Usage(input_tokens=prompt, output_tokens=completion, **more)
    text = Message(role="assistant", parts=(TextPart(text="ok"),))
    return Response(
        None, "m", text, finish_reason="stop", usage=usage, provider_data=raw
    )


def fixed_fields(**fields: Any) -> Answer:
    """Answers every prompt with one JSON object, as the JSON adapter reads it."""
    return lambda prompt: json.dumps(fields)
