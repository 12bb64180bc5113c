"""One small LM server on loopback that speaks three documented wire formats.

Ollama's (/api/tags, /api/show, /api/chat), OpenAI's (/v1/models,
/v1/chat/completions) and Vertex AI's (generateContent, and the OAuth token exchange
before it). `faults` are spent first, one for each chat request.

References:
    https://github.com/ollama/ollama/blob/main/docs/api.md
    https://platform.openai.com/docs/api-reference/chat
    https://cloud.google.com/vertex-ai/docs/reference/rest
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RATE_SECONDS = 0.75
OLLAMA_DEFAULT_CONTEXT = 4096  # tokens; what Ollama keeps when num_ctx is not sent
_CHATS = ("/api/chat", "/v1/chat/completions", ":generateContent")


class WireServer(ThreadingHTTPServer):
    """The server; a test sets what it answers and how it fails.

    Args:
        answer: The whole prompt as text -> the LM's text.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[str], str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.models = ["m:latest"]
        self.digest: str | None = None  # of all weights, in /api/tags
        self.model_info: dict[str, Any] = {}  # of /api/show
        self.key: str | None = None
        self.faults: list[str] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.bodies: list[bytes] = []
        self.props: Any = None
        self.rate: dict[str, int] = {}  # requests or tokens in any RATE_SECONDS
        self.refused = 0
        self._served: list[tuple[float, int]] = []
        self._lock = threading.Lock()
        self.address = f"http://127.0.0.1:{self.server_port}"

    def admits(self, tokens: int) -> bool:
        """False if the window would hold more than the rate."""
        with self._lock:
            begin = time.monotonic() - RATE_SECONDS
            recent = [one for one in self._served if one[0] > begin]
            requests, spent = len(recent) + 1, tokens + sum(one[1] for one in recent)
            most = self.rate.get("requests", requests), self.rate.get("tokens", spent)
            if requests > most[0] or spent > most[1]:
                self.refused += 1
                return False
            self._served.append((time.monotonic(), tokens))
            return True

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies of the chat requests, in their order."""
        return [body for path, _, body in self.requests if path.endswith(_CHATS)]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a client that hung up is part of a test."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """What models there are."""
        self._remember({})
        if self._refused():
            return
        if self.path == "/api/tags":
            digest = {"digest": self.server.digest} if self.server.digest else {}
            models = [{"name": name, **digest} for name in self.server.models]
            self._reply({"models": models})
        elif self.path == "/v1/models":
            data = [{"id": name, "object": "model"} for name in self.server.models]
            self._reply({"object": "list", "data": data})
        elif self.path == "/props" and self.server.props is not None:
            self._reply(self.server.props)  # as llama.cpp's server does
        else:
            self._reply({"error": "not found"}, 404)

    def do_POST(self) -> None:
        """A chat, what is known of a model, or a token."""
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/token":
            self._remember({})
            self._reply({"access_token": "ya29.t", "expires_in": 3600})
            return
        body = json.loads(raw)
        self.server.bodies.append(raw)
        self._remember(body)
        if self._refused():
            return
        if self.path == "/api/show":
            self._show(body)
        elif self.path.endswith(_CHATS):
            self._chat(body)
        else:
            self._reply({"error": "not found"}, 404)

    def _show(self, body: dict[str, Any]) -> None:
        name = body.get("model") or body.get("name")
        if name in self.server.models or f"{name}:latest" in self.server.models:
            known = {"details": {}, "capabilities": []}
            self._reply({**known, "model_info": self.server.model_info})
        else:
            self._reply({"error": "model not found"}, 404)

    def _chat(self, body: dict[str, Any]) -> None:
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault:
            fault = FAULTS[fault](self)
        if fault is None:
            return
        prompt = _prompt(body)
        if not self.server.admits(len(prompt) // 4):
            self.fail(429)
            return
        text = "" if fault == "empty" else self.server.answer(prompt)
        finish = fault if fault in {"length", "blocked"} else "stop"
        if finish == "length":
            text = text[: len(text) // 2]
        if finish == "blocked":
            text = ""
        if fault == "wrong model":
            body = {**body, "model": "other-7b"}
        answer = _dialect(self.path)(body, prompt, text, finish)
        headers = {"Connection": "close"} if fault == "last" else None
        self._reply(answer, headers=headers, cut=fault == "cut")

    def _remember(self, body: dict[str, Any]) -> None:
        self.server.requests.append((self.path, dict(self.headers), body))

    def _refused(self) -> bool:
        key = self.server.key
        sent = self.headers.get("Authorization", "")
        if key is None or sent == f"Bearer {key}":
            return False
        self._reply({"error": {"message": f"wrong key {sent}"}}, 401)
        return True

    def _reply(
        self,
        document: Any,
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        cut: bool = False,
    ) -> None:
        text = json.dumps(document).encode()
        if cut:
            text = text[: len(text) // 2]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def fail(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        words: dict[str, Any] | None = None,
    ) -> None:
        """An HTTP error with a body in the form that all three formats share."""
        plain = {"message": f"fault {status}", "code": status, "status": "FAULT"}
        self._reply({"error": words or plain}, status, headers)

    def reset(self) -> None:
        """Half an answer, then the connection is gone."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"mod')
        self.wfile.flush()
        self.close_connection = True

    def wait(self, seconds: float) -> str:
        """A slow first byte; the answer comes after it."""
        threading.Event().wait(seconds)  # tests shorten time.sleep
        return "slow"

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


_AZURE = {
    "message": "The response was filtered due to the prompt triggering Azure OpenAI's "
    "content management policy.",
    "type": None,
    "param": "prompt",
    "code": "content_filter",
    "status": 400,
}
_VERTEX = {
    "message": "The prompt could not be submitted. It contains sensitive words that "
    "violate Google's Responsible AI practices.",
    "code": 400,
    "status": "INVALID_ARGUMENT",
}


def _withheld(handler: Handler) -> None:
    vertex = handler.path.endswith(":generateContent")
    handler.fail(400, words=_VERTEX if vertex else _AZURE)


FAULTS: dict[str, Callable[[Handler], str | None]] = {
    "429 with Retry-After": lambda h: h.fail(429, {"Retry-After": "2"}),
    "429 for a day": lambda h: h.fail(429, {"Retry-After": "86400"}),
    "429": lambda h: h.fail(429),
    "500": lambda h: h.fail(500),
    "503": lambda h: h.fail(503),
    "401": lambda h: h.fail(401),
    "404": lambda h: h.fail(404),
    "reset": lambda h: h.reset(),
    "slow": lambda h: h.wait(1.0),
    "truncated JSON": lambda h: "cut",
    "empty answer": lambda h: "empty",
    "cut by length": lambda h: "length",
    "blocked": lambda h: "blocked",
    "blocked by 400": _withheld,
    "wrong model": lambda h: "wrong model",
    "last answer": lambda h: "last",  # keeps no connection open
}


def _prompt(body: dict[str, Any]) -> str:
    """The text of a chat request of any of the three formats."""
    if "messages" in body:
        return "\n".join(str(message["content"]) for message in body["messages"])
    system = body.get("system_instruction") or body.get("systemInstruction") or {}
    turns = [system, *body["contents"]]
    return "\n".join(part["text"] for turn in turns for part in turn.get("parts", []))


def _dialect(path: str) -> Callable[..., dict[str, Any]]:
    if path == "/api/chat":
        return _ollama
    return _gemini if path.endswith(":generateContent") else _openai


def _ollama(body: dict[str, Any], prompt: str, text: str, end: str) -> dict[str, Any]:
    window = body.get("options", {}).get("num_ctx", OLLAMA_DEFAULT_CONTEXT)
    return {
        "model": body["model"],
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": "length" if end == "length" else "stop",
        "prompt_eval_count": min(len(prompt) // 4, window),
        "eval_count": max(1, len(text) // 4),
    }


def _openai(body: dict[str, Any], prompt: str, text: str, end: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    reason = {"blocked": "content_filter"}.get(end, end)
    choice = {"index": 0, "message": message, "finish_reason": reason}
    sent, made = len(prompt) // 4, max(1, len(text) // 4)
    usage = {"prompt_tokens": sent, "completion_tokens": made}
    usage["total_tokens"] = sent + made
    answer = {"id": "x", "object": "chat.completion", "model": body["model"]}
    return {**answer, "choices": [choice], "usage": usage}


def _gemini(body: dict[str, Any], prompt: str, text: str, end: str) -> dict[str, Any]:
    usage = _gemini_usage(len(prompt) // 4, max(1, len(text) // 4))
    answer: dict[str, Any] = {"usageMetadata": usage, "modelVersion": "gemini"}
    if end == "blocked":
        return {**answer, "promptFeedback": {"blockReason": "SAFETY"}}
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    reason = "MAX_TOKENS" if end == "length" else "STOP"
    candidate = {"index": 0, "content": content, "finishReason": reason}
    return {**answer, "candidates": [candidate]}


def _gemini_usage(sent: int, made: int) -> dict[str, int]:
    return {
        "promptTokenCount": sent,
        "candidatesTokenCount": made,
        "totalTokenCount": sent + made,
    }


@contextlib.contextmanager
def serving(answer: Callable[[str], str]) -> Iterator[WireServer]:
    """A running server; it is gone after the block."""
    server = WireServer(answer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
