"""Ollama's own protocol, put behind DSPy's client for OpenAI's.

At /v1 Ollama takes no `num_ctx`, and cuts long prompts to its default without a word.
So what DSPy sends is turned into a request to /api/chat, and the answer back. DSPy's
engine does the rest: errors, Retry-After, usage.

References:
    https://github.com/ollama/ollama/blob/main/docs/api.md
"""

import json
from typing import Any

from dspy._vendor.lm15.transports import TransportRequest, TransportResponse

from po_optimizer.lms.http import REFUSED, AnswerTransport, with_body

_OF_THE_REQUEST = ("model", "tools", "keep_alive", "think")
_NEEDLESS = ("stream", "stream_options", "n", "tool_choice", "messages")
_OPTIONS = {
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
}
"""Ollama's words for options; all others are called the same."""


class OllamaTransport(AnswerTransport):
    """An HTTP client to which Ollama looks like a server of OpenAI's protocol.

    Args:
        base: Ollama's address.
        seconds: For the whole of an answer, and for each silence in it.
        sends_key: There is a key; else the placeholder that DSPy wants is left out.
    """

    def __init__(self, base: str, seconds: float, *, sends_key: bool) -> None:
        super().__init__(seconds)
        self._address = f"{base}/api/chat"
        self._sends_key = sends_key

    def read(self, request: TransportRequest) -> tuple[TransportResponse, Any]:
        """The answer, as OpenAI's protocol has it; an error as Ollama sent it.

        Raises:
            dspy.lm15.TransportError: There is none, or none that can be taken.
        """
        headers = [
            (name, value)
            for name, value in request.headers
            if self._sends_key or name.lower() != "authorization"
        ]
        body = json.dumps(_to_ollama(json.loads(request.body))).encode()
        asked = TransportRequest("POST", self._address, headers, body)
        response, document = super().read(asked)
        if response.status < REFUSED and (chat := _from_ollama(document)) is not None:
            return with_body(response, json.dumps(chat).encode()), chat
        return response, document


def _to_ollama(body: dict[str, Any]) -> dict[str, Any]:
    request = {name: body.pop(name) for name in _OF_THE_REQUEST if name in body}
    request["messages"] = [_message(message) for message in body["messages"]]
    request["stream"] = False
    form = body.pop("response_format", None) or {}
    if form.get("type") == "json_object":
        request["format"] = "json"
    if form.get("type") == "json_schema":
        request["format"] = form["json_schema"]["schema"]
    effort = body.pop("reasoning_effort", None)
    if effort is not None:
        request.setdefault("think", effort != "none")
    request["options"] = {
        _OPTIONS.get(name, name): value
        for name, value in body.items()
        if name not in _NEEDLESS
    }
    return request


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """Texts in one, images beside them, arguments of tools as mappings."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    if parts:
        texts = (part["text"] for part in parts if part.get("type") == "text")
        message = {**message, "content": "\n".join(texts)}
    images = [part["image_url"]["url"] for part in parts if "image_url" in part]
    if images:
        message["images"] = [
            image.partition(";base64,")[2] or image for image in images
        ]
    if message.get("tool_calls"):
        calls = [call["function"] for call in message["tool_calls"]]
        message["tool_calls"] = [
            {"function": {**call, "arguments": json.loads(call["arguments"])}}
            for call in calls
        ]
    return message


def _from_ollama(document: Any) -> dict[str, Any] | None:
    """OpenAI's form; None: it is no answer of Ollama's."""
    message = document.get("message") if isinstance(document, dict) else None
    if not isinstance(message, dict):
        return None
    message = {"role": "assistant", **message}
    if thinking := message.pop("thinking", None):
        message["reasoning_content"] = thinking
    for number, call in enumerate(message.get("tool_calls") or ()):
        call.update(id=f"call_{number}", type="function")
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    prompt, completion = (
        document.get(name) or 0 for name in ("prompt_eval_count", "eval_count")
    )
    cut = document.get("done_reason") == "length"
    return {
        "id": "ollama",
        "object": "chat.completion",
        "model": document.get("model", ""),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "length" if cut else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }
