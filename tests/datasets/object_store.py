"""An object store over HTTP and its fsspec client, as S3 works: whole objects only."""

import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from fsspec.spec import AbstractFileSystem


class Store(BaseHTTPRequestHandler):
    """GET, PUT, DELETE, and COPY on the server; `fail` answers 503 to a method."""

    objects: ClassVar[dict[str, bytes]] = {}
    fail: ClassVar[set[str]] = set()

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(503 if self.command in self.fail else status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """An object, or with a trailing slash the names under it."""
        path = urllib.parse.unquote(self.path)
        if path.endswith("/"):
            names = [name for name in self.objects if name.startswith(path)]
            self._answer(200, "\n".join(names).encode())
        elif path in self.objects:
            self._answer(200, self.objects[path])
        else:
            self._answer(404)

    def do_PUT(self) -> None:
        """Store an object, once all of it arrived."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "PUT" not in self.fail:
            self.objects[urllib.parse.unquote(self.path)] = body
        self._answer(200)

    def do_COPY(self) -> None:
        """Copy an object to the name in the header, in one step."""
        if "COPY" not in self.fail:
            source = self.objects[urllib.parse.unquote(self.path)]
            self.objects[self.headers["Destination"]] = source
        self._answer(200)

    def do_DELETE(self) -> None:
        """Forget an object."""
        self.objects.pop(urllib.parse.unquote(self.path), None)
        self._answer(200)


class StoreFileSystem(AbstractFileSystem):
    """What s3fs is to S3."""

    protocol = "store"
    cachable = False

    def __init__(self, *, port: int, token: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.port = port
        self.token = token

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("store://").strip("/")

    def _ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request(method, urllib.parse.quote(path), body, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        if response.status == 404:
            raise FileNotFoundError(path)
        if response.status != 200:
            msg = f"{method} {path}: {response.status}"
            raise OSError(msg)
        return data

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        """The objects and folders right under a path."""
        base = self._strip_protocol(path).rstrip("/") + "/"
        names = self._ask("GET", base).decode().split()
        found = {}
        for name in names:
            head, _, rest = name.removeprefix(base).partition("/")
            kind = "directory" if rest else "file"
            found[base + head] = {"name": base + head, "size": 0, "type": kind}
        if not found and self._strip_protocol(path) not in self.objects(path):
            raise FileNotFoundError(path)
        return list(found.values()) if detail else list(found)

    def objects(self, path: str) -> list[str]:
        """Every object's name that starts with the path's folder."""
        parent = self._strip_protocol(path).rpartition("/")[0] + "/"
        return self._ask("GET", parent).decode().split()

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """What an object or folder is."""
        path = self._strip_protocol(path)
        for name in self.objects(path):
            if name == path:
                return {"name": path, "size": 0, "type": "file"}
            if name.startswith(path + "/"):
                return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def cat_file(self, path: str, *_args: Any, **_options: Any) -> bytes:
        """An object's bytes."""
        return self._ask("GET", self._strip_protocol(path))

    def pipe_file(self, path: str, value: bytes, *_args: Any, **_options: Any) -> None:
        """Store an object."""
        self._ask("PUT", self._strip_protocol(path), value)

    def mv(self, path1: str, path2: str, **_options: Any) -> None:
        """A copy on the server, then a delete."""
        target = self._strip_protocol(path2)
        self._ask("COPY", self._strip_protocol(path1), Destination=target)
        self.rm_file(path1)

    def rm_file(self, path: str) -> None:
        """Forget an object."""
        self._ask("DELETE", self._strip_protocol(path))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """An object store has no folders."""


@contextmanager
def running_store() -> Iterator[tuple[type[Store], int]]:
    """A fresh store on a free port."""
    handler = type("FreshStore", (Store,), {"objects": {}, "fail": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield handler, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
