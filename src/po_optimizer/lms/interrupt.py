"""Ctrl-C: the first ends in order, the second leaves at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from po_optimizer.lms.metered import meters_in_use
from po_optimizer.lms.stop import Interrupted, StopRun

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


def stop_lms_in_use(stop: StopRun) -> None:
    """Refuses further paid calls in every thread that has an LM in use.

    Raises:
        KeyboardInterrupt: None has: there is nothing to end in order.
    """
    meters = meters_in_use()
    if not meters:
        raise KeyboardInterrupt
    for meter in meters:
        meter.stopped = meter.stopped or stop
