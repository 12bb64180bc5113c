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
from po_optimizer.lms.stops import CacheWriteFailed

_folder: ContextVar[Path | None] = ContextVar("po_response_cache_folder", default=None)
_sent: ContextVar[dict[str, Any] | None] = ContextVar("po_sent", default=None)
_IN_MEMORY = 1000  # answers; DSPy's million would hold all of a large evaluation
_LARGEST_IN_MEMORY = 200_000  # bytes of one answer; a larger one is read from the disk


class EndpointCache(Cache):
    """The cache of one endpoint; a write that fails stops the run.

    Who misses an answer is the one to ask for it: others who want it wait until it
    is put, or until the call of the first ends without.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            enable_disk_cache=False,  # DSPy's, which is made of pickles
            enable_memory_cache=True,
            disk_cache_dir=str(folder),
            memory_max_entries=_IN_MEMORY,
        )
        self.folder = folder
        self.answers = Answers(folder)
        self.flight = SingleFlight()

    def get(
        self,
        request: dict[str, Any],
        ignored_args_for_cache_key: list[str] | None = None,
    ) -> Any:
        """The kept answer, or None to the one who is to ask for it."""
        key = self._key(request, ignored_args_for_cache_key)
        answer = self._read(key)
        if answer is None and _sent.get() is not None:
            # as earlier versions kept it
            answer = self._read(self.cache_key(request, ignored_args_for_cache_key))
        if answer is None and self.flight.take(key):
            answer = self._read(key)
            if answer is not None:
                self.flight.release(key)
        return answer

    def _key(self, request: dict[str, Any], ignored: list[str] | None) -> str:
        sent = _sent.get()
        if sent is not None:
            request, ignored = sent, None
        return str(self.cache_key(request, ignored))

    def _read(self, key: str) -> Any:
        with self._lock:
            answer = self.memory_cache.get(key)
        answer = self.answers.get(key) if answer is None else answer
        return self._prepare_cached_response(answer) if _readable(answer) else None

    def put(
        self,
        request: dict[str, Any],
        value: Any,
        ignored_args_for_cache_key: list[str] | None = None,
        enable_memory_cache: bool = True,
    ) -> None:
        """Keeps one answer.

        Raises:
            CacheWriteFailed: The disk refused it, or it is no plain data.
        """
        key = self._key(request, ignored_args_for_cache_key)
        try:
            with _heard(self.folder):
                size = self.answers.put(key, value)
        except TypeError as error:
            raise CacheWriteFailed(str(self.folder), f"no data: {error}") from error
        if size <= _LARGEST_IN_MEMORY:
            with self._lock:
                self.memory_cache[key] = value
        self.flight.release(key)


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
                with _heard(folder):
                    self._caches[folder] = EndpointCache(folder)
            return self._caches[folder]

    def get(self, request: dict[str, Any], ignored: list[str] | None = None) -> Any:
        """The kept answer, or None.

        Raises:
            CacheWriteFailed: The folder cannot be read or made.
        """
        cache = self._current()
        with _heard(_folder.get()):
            return cache.get(request, ignored)

    def put(self, request: dict[str, Any], value: Any, *args: Any) -> None:
        """Keeps an answer; of LiteLLM's objects the fields, without their endpoint."""
        self._current().put(request, plain(value), *args)

    def end_call(self) -> None:
        """Lets others ask for what this thread's call has no answer to."""
        cache = self._caches.get(_folder.get() or Path())
        if cache is not None:
            cache.flight.release_mine()

    def __getattr__(self, name: str) -> Any:
        """Everything else DSPy's Cache offers, from the current endpoint's cache."""
        return getattr(self._current(), name)


@contextmanager
def _heard(folder: Path | None) -> Iterator[None]:
    """Turns a failure of our disk into a stop: DSPy would score the example 0.0."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if folder is None:
            raise
        raise CacheWriteFailed(str(folder), str(error)) from error


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
