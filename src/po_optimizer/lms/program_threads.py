"""Hands DSPy's settings to the threads that a program starts by itself."""

import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import tqdm  # type: ignore[import-untyped]

from po_optimizer.patching import ProcessWide

_submit = ThreadPoolExecutor.submit
_start = threading.Thread.start


def _submit_here(
    pool: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Future[Any]:
    return _submit(pool, contextvars.copy_context().run, work, *args, **kwargs)


def _start_here(thread: threading.Thread) -> None:
    run = functools.partial(contextvars.copy_context().run, thread.run)
    thread.run = run  # type: ignore[method-assign]
    _start(thread)


def _disabled_bars() -> AbstractContextManager[Any]:
    original = tqdm.tqdm.__init__

    @functools.wraps(original)
    def make(bar: Any, *args: Any, **kwargs: Any) -> None:
        kwargs["disable"] = True
        try:
            original(bar, *args, **kwargs)
        except KeyError:
            # tqdm forgets a disabled bar; with several threads it may be gone already
            bar.n, bar.total, bar.leave = 0, None, False

    return patch.object(tqdm.tqdm, "__init__", make)


no_bars = ProcessWide(_disabled_bars)
"""Within the block new tqdm bars are disabled.

dspy.Parallel clears the list of all bars at each start, and fails at random where
several examples are run at a time.
"""


@contextmanager
def _patched() -> Iterator[None]:
    submit = patch.object(ThreadPoolExecutor, "submit", _submit_here)
    with no_bars(), submit, patch.object(threading.Thread, "start", _start_here):
        yield


own_threads = ProcessWide(_patched)
"""Within the block a new thread, or a pool's task, has the settings of who began it.

After `dspy.configure` a program's own threads find the LM; a context, which several
nodes can have at a time, DSPy hands on to its own threads only.
"""
