"""Ctrl-C: the first ends in order, the second leaves at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from po_optimizer.lms.stop import StopRun
from po_optimizer.optimization.stops import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def orderly_interrupt(stop: Callable[[StopRun], None]) -> Iterator[None]:
    """Turns the first Ctrl-C or SIGTERM of the block into a stop.

    The handler raises nothing, so the call in flight is finished and kept; the next
    paid call is refused. Signals reach the main thread only: elsewhere the block
    leaves them alone.

    Args:
        stop: Told the StopRun, from the signal handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop(Interrupted())

    earlier = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def pool_threads() -> set[threading.Thread]:
    """The living threads of DSPy's pools."""
    prefix = "ThreadPoolExecutor"
    return {t for t in threading.enumerate() if t.name.startswith(prefix)}


def wait_for_calls_in_flight(before: set[threading.Thread]) -> None:
    """Lets DSPy's pool threads finish: it leaves them running when a run is stopped."""
    for thread in pool_threads() - before - {threading.current_thread()}:
        thread.join()
