"""An OpenAI-compatible LM of known quality on loopback, in a thread of the tests.

It reads DSPy's prompts (JSON, chat and XML adapter) and answers from the world's facts:
right more often with demos, and with an instruction that holds `GOOD_WORDS`. The same
prompt always has the same answer, whoever asks, so that scores can be compared.
"""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.programs.world import truth

GOOD_WORDS = "house rule 7"
ALONE, WITH_DEMOS, WITH_GOOD_WORDS = 0.35, 0.2, 0.35
MOST_STEPS = 3
UNCOUNTED = "bare"
"""The model's name by which a test asks for itself."""
_TRUTH = truth()


class LoopbackLM:
    """Where the server is, and how often it was asked, by the model's name."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.address = ""

    def asked(self) -> int:
        """Requests for all models so far, save the uncounted one."""
        return sum(n for model, n in self.calls.items() if model != UNCOUNTED)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The response to one request."""
        with self.lock:
            self.calls[body["model"]] += 1
        content = respond(body["messages"], json_wanted="response_format" in body)
        sent = sum(len(_text(m["content"])) for m in body["messages"]) // 4
        written = max(1, len(content) // 4)
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": content},
                }
            ],
            "usage": {
                "prompt_tokens": sent,
                "completion_tokens": written,
                "total_tokens": sent + written,
            },
        }


@contextmanager
def serving() -> Iterator[LoopbackLM]:
    """The server for the length of the block."""
    lm = LoopbackLM()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            document = json.dumps(lm.answer(json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document.encode())

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    lm.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield lm
    finally:
        server.shutdown()
        server.server_close()


def respond(messages: list[dict[str, Any]], *, json_wanted: bool) -> str:
    """The text that the LM writes after these messages."""
    system = "\n".join(_text(m["content"]) for m in messages if m["role"] == "system")
    last = _text(messages[-1]["content"])
    fields = _output_fields(system)
    if not fields:
        return f"```\n{_instruction(system + last)}\n```"
    key = next(iter(re.findall(r"K\d\d", last)), "")
    demos = any(m["role"] == "assistant" for m in messages)
    chance = ALONE + WITH_DEMOS * demos + WITH_GOOD_WORDS * (GOOD_WORDS in system)
    answers = {
        name: _value(name, kind, key, last, chance) for name, kind in fields.items()
    }
    if json_wanted or "JSON object" in last:
        return json.dumps(answers)
    texts = {n: v if isinstance(v, str) else json.dumps(v) for n, v in answers.items()}
    if "XML tags" in last:
        return "\n".join(f"<{name}>\n{v}\n</{name}>" for name, v in texts.items())
    parts = [f"[[ ## {name} ## ]]\n{v}" for name, v in texts.items()]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or [])


def _output_fields(system: str) -> dict[str, str]:
    part = re.search(r"Your output fields are:\n(.*?)\nAll interactions", system, re.S)
    found = re.findall(r"^\d+\. `(\w+)` \((.*?)\):", part[1] if part else "", re.M)
    return dict(found)


def _value(name: str, kind: str, key: str, last: str, chance: float) -> Any:
    right = _TRUTH.get(key, {}).get(name)
    if right is None:
        return _generic(name, kind, key, last)
    if _hash(key, name) < chance:
        return right
    return _wrong(name, kind, right, key)


def _wrong(name: str, kind: str, right: Any, key: str) -> Any:
    others = [other for other in _options(kind) if other != right]
    if others and not isinstance(right, list):
        return others[int(_hash(key, name, "other") * len(others))]
    if isinstance(right, bool):
        return not right
    if isinstance(right, int | float):
        return right + 1
    if isinstance(right, list):
        return right[:-1]
    if isinstance(right, dict):
        return {**right, "city": "nowhere"}
    return "nobody knows"


def _generic(name: str, kind: str, key: str, last: str) -> Any:
    """What is right of a field that no fact answers."""
    if name.endswith("_instruction"):
        return _instruction(last)
    if name.startswith("next_tool_"):
        return _step(name, kind, key, last)
    answered = last.rsplit("## answer ## ]]", 1)[-1]
    judged = str(_TRUTH.get(key, {}).get("city")) in answered
    code = f"print({json.dumps(key)})"
    by_name = {"correct": judged, "generated_code": code, "finished": True}
    by_kind: dict[str, Any] = {
        "bool": True,
        "int": 1,
        "float": 0.5,
        "list": [],
        "dict": {},
    }
    options = _options(kind)
    text = options[0] if options else f"some {name} {key}".strip()
    kind = re.sub(r"^(optional|union|nullable)\[", "", kind.lower())
    return by_name.get(name, by_kind.get(re.split(r"[\[\], |]", kind)[0], text))


def _step(name: str, kind: str, key: str, last: str) -> Any:
    """An agent's next one: none to two calls of its first tool, by the message."""
    steps = int(_hash(key, "steps") * MOST_STEPS)
    done = not steps or f"observation_{steps - 1}" in last
    if name.endswith("_args"):
        return {} if done else {"query": f"{key} {last.count('observation_')}"}
    return next(o for o in _options(kind) if (o == "finish") == done)


def _instruction(seen: str) -> str:
    number = _hash(seen)
    rule = f"go by {GOOD_WORDS}" if number < 0.6 else "be careful and friendly"
    return f"Variant {int(number * 1e6)}: read the message and {rule}."


def _options(kind: str) -> list[str]:
    return re.findall(r"'([^']*)'", kind) if "Literal" in kind else []


def _hash(*parts: str) -> float:
    digest = hashlib.sha256("|".join(parts).encode()).hexdigest()
    return int(digest[:12], 16) / 16**12
