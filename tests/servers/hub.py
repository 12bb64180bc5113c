"""A small hub: enough of its protocol for huggingface_hub's real download code."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HubServer(ThreadingHTTPServer):
    """One file of one repository at one revision.

    Args:
        content: Of the file.
        path: /org/repo/resolve/revision/file.
    """

    daemon_threads = True

    def __init__(self, content: bytes, path: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.path = content, path
        self.break_after: int | None = None
        self.ranges: list[str | None] = []
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing."""


class Handler(BaseHTTPRequestHandler):
    """HEAD tells size and digest, GET sends the file, from an offset if asked."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        """What the file is."""
        self._head(len(self.server.content), 0)

    def do_GET(self) -> None:
        """The file, or what is missing of it."""
        wanted = self.headers.get("Range")
        if self.path == self.server.path:  # the library asks for listings too
            self.server.ranges.append(wanted)
        start = int(wanted.split("=")[1].split("-")[0]) if wanted else 0
        rest = self.server.content[start:]
        if not self._head(len(rest), start):
            return
        most, self.server.break_after = self.server.break_after, None
        self.wfile.write(rest if most is None else rest[:most])
        if most is not None:
            self.wfile.flush()
            self.close_connection = True

    def _head(self, length: int, start: int) -> bool:
        known = self.path == self.server.path
        self.send_response((206 if start else 200) if known else 404)
        if known:
            whole = len(self.server.content)
            digest = hashlib.sha256(self.server.content).hexdigest()
            self.send_header("ETag", f'"{digest}"')
            self.send_header("X-Repo-Commit", self.path.split("/")[4])
            self.send_header("Accept-Ranges", "bytes")
            if start:
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(length if known else 0))
        self.end_headers()
        return known

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def hub(content: bytes, path: str) -> Iterator[HubServer]:
    """A running hub; it is gone after the block."""
    server = HubServer(content, path)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
