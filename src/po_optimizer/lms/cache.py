"""DSPy's response cache, one folder per endpoint, with failures that are heard.

DSPy's own cache leaves the endpoint out of its key, unpickles what it finds and logs
failed writes at DEBUG; each would lose or mix up answers that were paid for, or run
what somebody put into the folder. Here answers are data on the disk (`answers`).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import dspy
from dspy.clients.cache import Cache
from dspy.clients.call_result import CACHE_FORMAT, CallResult
from dspy.clients.legacy_outputs import plain

from po_optimizer.lms.answer_store import Answers
from po_optimizer.lms.single_flight import SingleFlight, one_asker
from po_optimizer.lms.stops import WriteFailed

_folder: ContextVar[Path | None] = ContextVar("po_response_cache_folder", default=None)
_sent: ContextVar[dict[str, Any] | None] = ContextVar("po_sent", default=None)


class EndpointCache:
    """The answers of one endpoint, each asked for by one call at a time.

    If several threads need the same missing answer, the first one asks and the others
    wait until it is put, or until the call of the first ends without.
    """

    cache_key = Cache.cache_key

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers = Answers(folder)
        self.flight = SingleFlight()

    def get(self, request: dict[str, Any], ignored: list[str] | None = None) -> Any:
        """The kept answer, or None to the one who is to ask for it."""
        key = self._key(request, ignored)
        answer = self._read(key)
        if answer is None and _sent.get() is not None:
            # as earlier versions kept it
            answer = self._read(self.cache_key(request, ignored))
        if answer is None and self.flight.take(key):
            answer = self._read(key)
            if answer is not None:
                self.flight.release(key)
        return answer

    def put(
        self, request: dict[str, Any], value: Any, ignored: list[str] | None = None
    ) -> None:
        """Keeps one answer.

        Raises:
            WriteFailed: The disk refused it, or it is no plain data.
        """
        key = self._key(request, ignored)
        try:
            with _failures_stop(self.folder):
                self.answers.put(key, value)
        except TypeError as error:
            raise _unkept(self.folder, f"no data: {error}") from error
        self.flight.release(key)

    def _key(self, request: dict[str, Any], ignored: list[str] | None) -> str:
        sent = _sent.get()
        if sent is not None:
            request, ignored = sent, None
        return str(self.cache_key(request, ignored))

    def _read(self, key: str) -> Any:
        answer = self.answers.get(key)
        return answer if _readable(answer) else None


def _readable(answer: Any) -> bool:
    """False of what DSPy would stumble over: a row that it did not write."""
    if not isinstance(answer, dict) or answer.get("_dspy_format") != CACHE_FORMAT:
        return answer is not None
    try:
        CallResult.load(answer)
    except (ValueError, TypeError, LookupError, AttributeError):
        return False
    return True


class ResponseCache:
    """Routes each request to the cache of the endpoint that it is meant for.

    Stands in `dspy.cache`. Requests of LMs that are not ours go to the cache that
    stood there before.
    """

    def __init__(self, other: Any) -> None:
        self.other = other
        self._caches: dict[Path, EndpointCache] = {}
        self._lock = threading.Lock()

    def _current(self) -> Any:
        folder = _folder.get()
        if folder is None:
            return self.other
        with self._lock:
            if folder not in self._caches:
                with _failures_stop(folder):
                    self._caches[folder] = EndpointCache(folder)
            return self._caches[folder]

    def get(self, request: dict[str, Any], ignored: list[str] | None = None) -> Any:
        """The kept answer, or None.

        Raises:
            WriteFailed: The folder cannot be read or made.
        """
        cache = self._current()
        with _failures_stop(_folder.get()):
            return cache.get(request, ignored)

    def put(self, request: dict[str, Any], value: Any, *args: Any) -> None:
        """Keeps an answer; of LiteLLM's objects the fields, without their endpoint."""
        self._current().put(request, plain(value), *args)

    def cache_key(self, *args: Any) -> str:
        """DSPy's key of a request."""
        return str(self._current().cache_key(*args))

    def end_call(self) -> None:
        """Lets others ask for what this thread's call has no answer to."""
        cache = self._caches.get(_folder.get() or Path())
        if cache is not None:
            cache.flight.release_mine()

    def __getattr__(self, name: str) -> Any:
        """Everything else that DSPy's cache offers, as it was there before."""
        return getattr(self.other, name)


@contextmanager
def _failures_stop(folder: Path | None) -> Iterator[None]:
    """Turns a failure of our disk into a stop: DSPy would score the example 0.0."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if folder is None:
            raise
        raise _unkept(folder, str(error)) from error


def _unkept(folder: Path, problem: str) -> WriteFailed:
    return WriteFailed("the response cache", str(folder), problem)


@contextmanager
def endpoint(folder: Path) -> Iterator[None]:
    """Sends the LM call of this block to one endpoint's cache folder."""
    router = _installed()
    token = _folder.set(folder)
    with one_asker():
        try:
            yield
        finally:
            router.end_call()
            _folder.reset(token)


@contextmanager
def keyed_by(sent: dict[str, Any] | None) -> Iterator[None]:
    """In the block an answer's key is what was sent for it; None: DSPy's own key."""
    token = _sent.set(sent)
    try:
        yield
    finally:
        _sent.reset(token)


def _installed() -> ResponseCache:
    """The router in `dspy.cache`, put there once per process."""
    with _install_lock:
        if not isinstance(dspy.cache, ResponseCache):
            dspy.cache = ResponseCache(dspy.cache)
        router: ResponseCache = dspy.cache
        return router


_install_lock = threading.Lock()
