"""Servers that misbehave, on loopback, and the body of an ordinary answer."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HostileServer(ThreadingHTTPServer):
    """Answers every request by one function, and remembers what came.

    Args:
        respond: Writes whatever it likes to the handler that it is given.
    """

    daemon_threads = True

    def __init__(self, respond: Callable[[Any], None], host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.respond = respond
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.address = f"http://{host}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: clients hang up on such a server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, self.rfile.read(size)))
        self.server.respond(self)

    do_POST = do_CONNECT = do_GET  # noqa: N815

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        """A whole response; `_` in a header's name is a dash."""
        self.send_response(status)
        sent = {"Content_Type": "application/json", "Content_Length": str(len(body))}
        for name, value in {**sent, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def hostile(respond: Callable[[Any], None]) -> Iterator[HostileServer]:
    """A running server; it is gone after the block."""
    server = HostileServer(respond)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def chat(text: str, path: str, usage: Any = None) -> bytes:
    """An answer in the wire format of the path, with the usage as it is given."""
    tokens = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    usage = tokens if usage is None else usage
    if path.endswith("/api/chat"):
        message = {"role": "assistant", "content": text}
        counts = {
            "prompt_eval_count": usage["prompt_tokens"],
            "eval_count": usage["completion_tokens"],
        }
        answer = {"model": "m", "message": message, "done": True, **counts}
        return json.dumps(answer | {"done_reason": "stop"}).encode()
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "x", "object": "chat.completion", "model": "m"}
    return json.dumps({**answer, "choices": [choice], "usage": usage}).encode()
