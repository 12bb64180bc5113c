"""DSPy's response cache, one folder per endpoint, with failures that stop the run.

DSPy's own cache leaves the endpoint out of its key, unpickles what it finds and logs
failed writes at DEBUG; each would lose or mix up answers that were paid for, or run
what somebody put into the folder. Here answers are data on the disk (`answer_store`).

What DSPy does not cache (`cache=False`, or a class with a `forward` of its own) wants a
new answer to each call, equal ones too. In an optimization it is kept as the answer to
the n-th call of its kind, so that a resumed run finds it.
"""

import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dspy
import orjson
from dspy.clients.cache import Cache
from dspy.clients.call_result import CACHE_FORMAT, CallResult
from dspy.clients.execution import IGNORED_CACHE_KEYS
from dspy.clients.legacy_outputs import plain

from po_optimizer.lms.answer_store import Answers
from po_optimizer.lms.stops import WriteFailed


@dataclass(eq=False)
class _Call:
    """One LM call as its cache knows it, in whichever thread it is asked.

    Args:
        folder: Of the endpoint's cache.
        sent: What is sent, which is the answer's key; None: DSPy's own key.
        waits: For another call that asks the same. Calls that are awaited share a few
            threads: those that wait would keep the thread from the one that asks.
        key: The digest of `sent`, once it was made.
    """

    folder: Path
    sent: dict[str, Any] | None = None
    waits: bool = True
    key: str | None = None


_SECRET_NAME = re.compile(
    r"(keys?|token|secrets?|passwords?|credentials?|headers?|auth(orization)?)\d*$",
    re.IGNORECASE,
)  # at the end of a name: `tokenizer` decides what is answered
_current_call: ContextVar[_Call | None] = ContextVar("po_cached_call", default=None)
_install_lock = threading.Lock()


@contextmanager
def endpoint(
    folder: Path, *, sent: dict[str, Any] | None = None, waits: bool = True
) -> Iterator[None]:
    """Sends the LM call of this block to one endpoint's cache folder.

    Args:
        folder: Of the endpoint's cache.
        sent: What is sent, as the answer's key; None: DSPy's own key.
        waits: For another call that asks the same at the moment.
    """
    router, call = _installed(), _Call(folder, sent, waits)
    token = _current_call.set(call)
    try:
        yield
    finally:
        router.end_call(call)
        _current_call.reset(token)


class SingleFlight:
    """Makes sure that one call of this process at a time asks for a key.

    If several threads need the same missing answer, the first one asks and the others
    wait, so that it is paid for once.
    """

    def __init__(self) -> None:
        self._owners: dict[str, object] = {}
        self._changed = threading.Condition()

    def take(self, key: str) -> bool:
        """Waits until no other call asks for the key, and then claims it.

        Returns:
            False if this call had claimed it before, or does not wait.
        """
        call = _current_call.get()
        owner = call or threading.get_ident()
        with self._changed:
            if self._owners.get(key) == owner:
                return False
            if key in self._owners and call and not call.waits:
                return False
            self._changed.wait_for(lambda: key not in self._owners)
            self._owners[key] = owner
        return True

    def release(self, key: str) -> None:
        """Lets a waiting call continue; does nothing if the key is not claimed."""
        with self._changed:
            if self._owners.pop(key, None) is not None:
                self._changed.notify_all()

    def release_all(self, owner: object) -> None:
        """Releases every key of a call that ended without an answer."""
        with self._changed:
            keys = [key for key, holder in self._owners.items() if holder == owner]
            for key in keys:
                self.release(key)


def identifying(
    request: dict[str, Any], ignored: list[str] | None = None
) -> dict[str, Any]:
    """What an answer is kept by: what is sent, else DSPy's request.

    Secrets are no part of it, so that they may be renewed and need not be known.
    """
    call = _current_call.get()
    if call is not None and call.sent is not None:
        return call.sent
    parts = request.items()
    return {k: v for k, v in parts if k not in (ignored or ()) and not is_secret(k, v)}


def is_secret(name: str, value: Any) -> bool:
    """Whether an argument of an LM is a key, or headers that may contain one."""
    named = name not in {"messages", "prompt"} and _SECRET_NAME.search(name)
    return bool(named) and isinstance(value, str | Mapping)


class EndpointCache:
    """The answers of one endpoint, each asked for by one call at a time."""

    cache_key = Cache.cache_key

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers = Answers(folder)
        self.flight = SingleFlight()

    def get(self, request: dict[str, Any], ignored: list[str] | None = None) -> Any:
        """The stored answer; None: this call must ask the LM for it."""
        key = self._key(request, ignored)
        claimed = self.flight.take(key)
        answer = self._read(key)
        if claimed and answer is not None:
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
            raise _unwritten(self.folder, f"no data: {error}") from error
        self.flight.release(key)

    def _key(self, request: dict[str, Any], ignored: list[str] | None) -> str:
        call = _current_call.get()
        if call is None or call.sent is None:
            return str(self.cache_key(identifying(request, ignored)))
        if call.key is None:
            # plain data: DSPy's key of it, without looking at each value
            text = orjson.dumps(call.sent, option=orjson.OPT_SORT_KEYS)
            call.key = hashlib.sha256(text).hexdigest()
        return call.key

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

    Stands in `dspy.cache`. Requests outside of a metered call go to the cache that
    stood there before; DSPy's own is opened for the first of them, which takes time.

    Args:
        other: What stood there; None: DSPy has not opened its own.
    """

    def __init__(self, other: Any = None) -> None:
        self._other = other
        self.make: Callable[[Path], EndpointCache] = EndpointCache
        self.caches: dict[Path, EndpointCache] = {}
        self._lock = threading.Lock()

    @property
    def other(self) -> Any:
        """The cache of requests outside of a metered call."""
        with self._lock:
            if self._other is None:
                self._other = dspy.clients._get_dspy_cache()
            return self._other

    def _current(self) -> Any:
        call = _current_call.get()
        if call is None:
            return self.other
        with self._lock:
            if call.folder not in self.caches:
                with _failures_stop(call.folder):
                    self.caches[call.folder] = self.make(call.folder)
            return self.caches[call.folder]

    def get(self, request: dict[str, Any], ignored: list[str] | None = None) -> Any:
        """The kept answer, or None.

        Raises:
            WriteFailed: The folder cannot be read or made.
        """
        call, cache = _current_call.get(), self._current()
        with _failures_stop(call.folder if call else None):
            return cache.get(request, ignored)

    def put(self, request: dict[str, Any], value: Any, *args: Any) -> None:
        """Keeps an answer; of LiteLLM's objects the fields, without their endpoint."""
        is_data = isinstance(value, dict) and value.get("_dspy_format") == CACHE_FORMAT
        self._current().put(request, value if is_data else plain(value), *args)

    def cache_key(self, *args: Any) -> str:
        """DSPy's key of a request."""
        return str(self._current().cache_key(*args))

    def end_call(self, call: _Call) -> None:
        """Releases what the call had claimed and got no answer for."""
        cache = self.caches.get(call.folder)
        if cache is not None:
            cache.flight.release_all(call)

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
        raise _unwritten(folder, str(error)) from error


def _unwritten(folder: Path, problem: str) -> WriteFailed:
    return WriteFailed("the response cache", str(folder), problem)


def _installed() -> ResponseCache:
    """The router in `dspy.cache`, put there once per process."""
    with _install_lock:
        router = vars(dspy).get("cache")  # asking DSPy for it would open it
        if not isinstance(router, ResponseCache):
            router = dspy.cache = ResponseCache(router)
        return router


@contextmanager
def caches_of(make: Callable[[Path], EndpointCache]) -> Iterator[None]:
    """Within the block, in all threads, `make` gives the cache of each folder."""
    router = _installed()
    outside = router.make, router.caches
    router.make, router.caches = make, {}
    try:
        yield
    finally:
        router.make, router.caches = outside


_counting = threading.Lock()


def numbered_request(lm: Any, call: Any, *, awaited: bool) -> dict[str, Any] | None:
    """Which call of an optimization this is, as a request of the response cache.

    None: outside an optimization, cached by DSPy, or with arguments that are no data.
    """
    scope = dspy.settings.get("po_call_scope")
    if call.cache or scope is None or scope.optimization_id is None:
        return None
    if scope.stage != "optimize":
        return None
    request = {**call.key(lm, awaited), "po_optimization": scope.optimization_id}
    try:
        kind = dspy.cache.cache_key(request, IGNORED_CACHE_KEYS)
    except TypeError:
        return None  # an argument that is no data
    with _counting:
        scope.n_asked[kind] += 1
        return {**request, "po_turn": scope.n_asked[kind]}


def load_answer(request: dict[str, Any] | None) -> CallResult | None:
    """The answer of that turn in an earlier run."""
    record = request and dspy.cache.get(request, IGNORED_CACHE_KEYS)
    return CallResult.load(record) if record else None


def keep_answer(request: dict[str, Any] | None, result: CallResult) -> CallResult:
    """Keeps the answer of a turn, if it is data, and gives it back."""
    if request is not None:
        record = replace(result, raw=None).dump()
        try:
            json.dumps(record)
        except TypeError:
            return result
        dspy.cache.put(request, record, IGNORED_CACHE_KEYS)
    return result
