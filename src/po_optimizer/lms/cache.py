"""Answers to LM calls, one folder per endpoint, with failures that stop the run.

DSPy's own cache leaves the endpoint out of its key, unpickles what it finds and logs
failed writes at DEBUG; each would lose or mix up answers that were paid for, or run
what somebody put into the folder. Here answers are data on the disk (`answer_store`).

What DSPy does not cache (`cache=False`, or a class with a `forward` of its own) wants a
new answer to each call, equal ones too. In an optimization it is kept as the answer to
the n-th call of its kind, so that a resumed run finds it.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dspy
import orjson
from dspy.clients.cache import Cache
from dspy.clients.call_result import CACHE_FORMAT, CallResult
from dspy.clients.execution import IGNORED_CACHE_KEYS

from po_optimizer.lms.answer_store import Answers
from po_optimizer.lms.stops import WriteFailed
from po_optimizer.secret import is_secret_argument

_DAMAGED = (ValueError, TypeError, LookupError, AttributeError)


def identifying(request: Mapping[str, Any]) -> dict[str, Any]:
    """Of DSPy's request what an answer is kept by.

    Secrets are no part of it, so that they may be renewed and need not be known.
    """
    return {
        name: value
        for name, value in request.items()
        if name not in IGNORED_CACHE_KEYS and not is_secret_argument(name, value)
    }


def digest(parts: dict[str, Any]) -> str:
    """DSPy's key of what an answer is kept by.

    Raises:
        TypeError: A part is no data.
    """
    try:  # most are plain data, and need not be looked at one by one
        text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return str(Cache.cache_key(None, parts))
    return hashlib.sha256(text).hexdigest()


_counting = threading.Lock()


def numbered(request: dict[str, Any]) -> dict[str, Any] | None:
    """Which call of an optimization this is; None: it belongs to none.

    Raises:
        TypeError: An argument is no data.
    """
    scope = dspy.settings.get("po_call_scope")
    if scope is None or scope.optimization_id is None or scope.stage != "optimize":
        return None
    request = {**request, "po_optimization": scope.optimization_id}
    kind = digest(request)
    with _counting:
        scope.n_asked[kind] += 1
        return {**request, "po_turn": scope.n_asked[kind]}


@dataclass
class _Caches:
    """The caches of this process, by their folder."""

    make: Callable[[Path], Answers] = Answers
    opened: dict[Path, Answers] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, folder: Path) -> Answers:
        with self.lock:
            if folder not in self.opened:
                self.opened[folder] = self.make(folder)
            return self.opened[folder]


caches = _Caches()


@contextmanager
def caches_of(make: Callable[[Path], Answers]) -> Iterator[None]:
    """Within the block, in all threads, `make` gives the cache of each folder."""
    outside = caches.make, caches.opened
    caches.make, caches.opened = make, {}
    try:
        yield
    finally:
        caches.make, caches.opened = outside


_claims: dict[tuple[Path, str], int] = {}
_claims_changed = threading.Condition()


class KeptAnswer:
    """The place of one call's answer.

    Args:
        folder: Of the endpoint's cache.
        parts: What the answer is kept by.

    Raises:
        TypeError: A part is no data.
    """

    def __init__(self, folder: Path, parts: dict[str, Any]) -> None:
        self._folder, self._parts, self._key = folder, parts, digest(parts)

    @contextmanager
    def claimed(self, *, waits: bool) -> Iterator[None]:
        """Within the block no other call of this process asks for the answer.

        If several threads need the same missing answer, the first one asks and the
        others wait, so that it is paid for once.

        Args:
            waits: For another call that asks the same. Calls that are awaited share a
                few threads: those that wait would keep the thread from the one that
                asks.
        """
        claim, thread = (self._folder, self._key), threading.get_ident()
        with _claims_changed:
            if waits and _claims.get(claim) != thread:
                _claims_changed.wait_for(lambda: claim not in _claims)
            free = claim not in _claims
            if free:
                _claims[claim] = thread
        try:
            yield
        finally:
            if free:
                with _claims_changed:
                    del _claims[claim]
                    _claims_changed.notify_all()

    def load(self, lm: Any, call: Any) -> CallResult | None:
        """The answer, if there is one that can be read.

        Raises:
            WriteFailed: The folder cannot be read or made.
        """
        with _failures_stop(self._folder):
            record = caches.of(self._folder).get(self._key, self._parts)
        if not isinstance(record, dict):
            return None
        try:
            if record.get("_dspy_format") == CACHE_FORMAT:
                return CallResult.load(record)
            # what LiteLLM gave, as DSPy's cache would keep it
            result = CallResult.legacy(lm, record, kwargs=call.legacy)
        except _DAMAGED:
            return None
        return replace(result, usage={}, cache_hit=True)

    def keep(self, result: CallResult) -> CallResult:
        """Keeps an answer, if it is data, and gives it back.

        Raises:
            WriteFailed: The disk refused it.
        """
        record = replace(result, raw=None).dump()
        with _failures_stop(self._folder):
            try:
                caches.of(self._folder).put(self._key, record)
            except TypeError:
                return result
        return result


@contextmanager
def _failures_stop(folder: Path) -> Iterator[None]:
    """Turns a failure of our disk into a stop: DSPy would score the example 0.0."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise WriteFailed("the response cache", str(folder), str(error)) from error
