"""The one switch that ends an optimization in all its threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from po_optimizer.lms import Meter, MeteredLM, StopRun


class Control:
    """Sets and asks for the StopRun of both LMs' meters.

    Args:
        lms: The task LM and the prompt LM, which may be one.
    """

    def __init__(self, *lms: MeteredLM) -> None:
        self.meters: list[Meter] = list({id(lm.meter): lm.meter for lm in lms}.values())

    def stop(self, stop: StopRun) -> None:
        """Refuses every further paid call; the first reason stays."""
        reason = self.stopped() or stop
        for meter in self.meters:
            meter.stopped = reason

    def stopped(self) -> StopRun | None:
        """Why the run ends; None: it goes on."""
        return next((m.stopped for m in self.meters if m.stopped is not None), None)

    def check(self) -> None:
        """Raises the StopRun, if one was set."""
        stop = self.stopped()
        if stop is not None:
            raise stop

    def wait_until_idle(self) -> None:
        """Lets calls in flight end: DSPy leaves its threads running when stopped."""
        for meter in self.meters:
            meter.wait_until_idle()

    def begin_trial(self, trial: int | None) -> None:
        """Puts the calls that follow on a trial's account; None: on nobody's."""
        for meter in self.meters:
            meter.trial = trial

    @contextmanager
    def guarded(self, guard: Callable[[], None]) -> Iterator[None]:
        """Within the block `guard` is asked before each paid call of either LM."""
        for meter in self.meters:
            meter.resume()
            meter.guards.append(guard)
        try:
            yield
        finally:
            for meter in self.meters:
                meter.guards.remove(guard)
            self.begin_trial(None)
