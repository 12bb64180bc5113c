"""Ctrl-C: the first ends in order, the second leaves at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import getLogger
from types import FrameType

from po_optimizer.lms.meter import meters_in_use
from po_optimizer.lms.stop import Interrupted, StopRun, asked_to_stop, leaving

logger = getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TOLD = (
    "Stopping: the LM calls in flight are finished and kept. "
    "Ctrl-C again leaves at once."
)

_stops: list[Callable[[StopRun], None]] = []


@contextmanager
def orderly_interrupt(stop: Callable[[StopRun], None]) -> Iterator[None]:
    """Turns the first Ctrl-C or SIGTERM of the block into a stop.

    The handler raises nothing, so the call in flight is finished and kept; the next
    paid call is refused, and a run begins no further node. Signals reach the main
    thread only: elsewhere the block leaves them alone.

    Args:
        stop: Told the StopRun, from the signal handler; of nested blocks the inner's.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _stops.append(stop)
    # what is ignored, in a shell's background job for one, stays ignored
    heard = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    earlier = {number: signal.signal(number, _handle) for number in heard}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        _stops.pop()
        if not _stops:
            asked_to_stop.clear()


def _handle(_signal: int, _frame: FrameType | None) -> None:
    if asked_to_stop.is_set():
        leaving.set()
        raise KeyboardInterrupt
    asked_to_stop.set()
    _stops[-1](Interrupted())
    # not from here: what the signal came upon may be in the middle of a line
    threading.Thread(target=logger.warning, args=(_TOLD,), daemon=True).start()


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
