"""Stopping a run: by signal, or by the control of one optimization.

The first Ctrl-C ends the run in order, the second one at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from logging import getLogger
from types import FrameType, SimpleNamespace

from dspy.utils import parallelizer

from po_optimizer.lms.lm import MeteredLM
from po_optimizer.lms.meter import Meter, meters_in_use
from po_optimizer.lms.stops import Interrupted, StopRun, force_exit, stop_requested

logger = getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = (
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
        stop: Called with the StopRun, in the signal handler; the innermost block's.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _stops.append(stop)
    # what is ignored, in a shell's background job for one, stays ignored
    heard = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    earlier = {number: signal.signal(number, _handle) for number in heard}
    try:
        with nullcontext() if signal.SIGINT in earlier else _dspy_hears_no_signal():
            yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        _stops.pop()
        if not _stops:
            stop_requested.clear()


@contextmanager
def _dspy_hears_no_signal() -> Iterator[None]:
    """An evaluation of DSPy's takes SIGINT for itself, even where it is ignored."""
    silent = {**vars(signal), "signal": lambda _number, _handler: None}
    parallelizer.signal = SimpleNamespace(**silent)
    try:
        yield
    finally:
        parallelizer.signal = signal


def _handle(_signal: int, _frame: FrameType | None) -> None:
    if stop_requested.is_set():
        force_exit.set()
        raise KeyboardInterrupt
    stop_requested.set()
    _stops[-1](Interrupted())
    # not from here: what the signal came upon may be in the middle of a line
    threading.Thread(target=logger.warning, args=(_NOTICE,), daemon=True).start()


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


class Control:
    """Stops both LMs of an optimization, and knows whether they were stopped.

    Args:
        lms: The task LM and the prompt LM, which may be one.
    """

    def __init__(self, *lms: MeteredLM) -> None:
        self.meters: list[Meter] = list({id(lm.meter): lm.meter for lm in lms}.values())

    def stop(self, stop: StopRun) -> None:
        """Refuses every further paid call; the first reason is kept."""
        reason = self.stopped() or stop
        for meter in self.meters:
            meter.stopped = reason

    def stopped(self) -> StopRun | None:
        """The reason why the run ends; None: it continues."""
        return next((m.stopped for m in self.meters if m.stopped is not None), None)

    def check(self) -> None:
        """Raises the StopRun, if one was set."""
        stop = self.stopped()
        if stop is not None:
            raise stop

    @contextmanager
    def raising_stops(self) -> Iterator[None]:
        """Raises the StopRun itself, whatever DSPy raised because of it.

        DSPy hears a Ctrl-C too, and raises that it was cancelled.
        """
        try:
            yield
        except BaseException as error:
            ends = isinstance(error, StopRun | KeyboardInterrupt | SystemExit)
            if not ends and (reason := self.stopped()) is not None:
                raise reason from error
            raise

    def wait_until_idle(self) -> None:
        """Waits for calls in flight, as DSPy leaves its threads running."""
        for meter in self.meters:
            meter.wait_until_idle()

    def begin_trial(self, trial: int | None) -> None:
        """Records the following calls under this trial; None: under no trial."""
        for meter in self.meters:
            meter.trial = trial

    @contextmanager
    def guarded(self, guard: Callable[[], None]) -> Iterator[None]:
        """Calls `guard` before each paid call of either LM in the block."""
        for meter in self.meters:
            meter.resume()
            meter.guards.append(guard)
        try:
            yield
        finally:
            for meter in self.meters:
                meter.guards.remove(guard)
            self.begin_trial(None)
