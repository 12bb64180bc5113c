"""Calls in background threads, begun before their results are needed.

However many threads ask, an LM is asked for no more answers at a time than it has
places (`lm.num_threads`).
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from po_optimizer.lms.identity import model_name
from po_optimizer.lms.meter import in_event_loop
from po_optimizer.lms.stops import force_exit, result_of

Call = Callable[[], Any]
Begin = Callable[[Call], Call]
"""Begins a call in the background; gives a function that waits for its result."""

_has_place: ContextVar[bool] = ContextVar("po_has_place", default=False)


class _Places(BaseCallback):
    """Limits the calls of an LM at a time, however many threads there are.

    Calls of a context with `po_first` come before others that wait. A call inside of
    another takes no place of its own, or all could wait for one another; and in an
    event loop nobody may wait.

    Args:
        places: Of an LM that does not say how many it has.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._in_use: Counter[str] = Counter()
        self._first: Counter[str] = Counter()
        self._holders: dict[str, str] = {}
        self._changed = threading.Condition()

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Waits for a free place."""
        if _has_place.get() or in_event_loop():
            return
        where = str(getattr(instance, "where", model_name(instance)))
        metered = hasattr(instance, "meter")
        places = instance.num_threads if metered else self._places
        first = bool(dspy.settings.get("po_first", False))
        with self._changed:
            self._first[where] += first
            self._changed.wait_for(
                lambda: (
                    self._in_use[where] < places and (first or not self._first[where])
                )
            )
            self._first[where] -= first
            self._in_use[where] += 1
            self._holders[call_id] = where
        _has_place.set(True)

    def on_lm_end(
        self, call_id: str, outputs: Any, exception: Exception | None = None
    ) -> None:
        """Leaves the place to another call."""
        with self._changed:
            where = self._holders.pop(call_id, None)
            if where is None:
                return
            self._in_use[where] -= 1
            self._changed.notify_all()
        _has_place.set(False)


@contextmanager
def in_background(places: int) -> Iterator[Begin]:
    """Gives the block a function that begins calls in background threads.

    Calls that have not begun at its end are dropped. The others are waited for, unless
    a second Ctrl-C came.

    Args:
        places: Calls at a time of an LM that does not say how many it answers.
    """
    pool = ThreadPoolExecutor(places)

    def begin(call: Call) -> Call:
        return partial(result_of, pool.submit(copy_context().run, call))

    callbacks = list(dspy.settings.get("callbacks", []))
    if places > 1:
        callbacks.append(_Places(places))
    with dspy.context(callbacks=callbacks):
        try:
            yield begin
        finally:
            pool.shutdown(wait=not force_exit.is_set(), cancel_futures=True)
