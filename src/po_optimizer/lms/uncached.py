"""Answers that DSPy caches nowhere, kept so that a resumed optimization finds them.

`cache=False`, or a class with a `forward` of its own, wants a new answer to each call,
equal ones too: so an answer is kept for the n-th call of its kind in an optimization.
"""

import json
import threading
from dataclasses import replace
from typing import Any

import dspy
from dspy.clients.call_result import CallResult
from dspy.clients.execution import IGNORED_CACHE_KEYS

from po_optimizer.lms.meter import CallScope

_lock = threading.Lock()


def numbered_request(lm: Any, call: Any, *, awaited: bool) -> dict[str, Any] | None:
    """Which call of an optimization this is, as a request of the response cache.

    None: outside an optimization, cached by DSPy, or with arguments that are no data.
    """
    scope: CallScope | None = dspy.settings.get("po_call_scope")
    if call.cache or scope is None or scope.optimization_id is None:
        return None
    if scope.stage != "optimize":
        return None
    request = {**call.key(lm, awaited), "po_optimization": scope.optimization_id}
    try:
        kind = dspy.cache.cache_key(request, IGNORED_CACHE_KEYS)
    except TypeError:
        return None  # an argument that is no data
    with _lock:
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
