"""The live display of a running optimization."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich import get_console
from rich.console import Console, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from po_optimizer.lms.usage import Usage
from po_optimizer.optimization.events import (
    Ended,
    Event,
    Phase,
    Progress,
    Scored,
    Started,
    log_event,
)
from po_optimizer.optimization.forecast import Forecast, between
from po_optimizer.optimization.journal import Trial

_BARS = "▁▂▃▄▅▆▇█"
_POLL_SECONDS = 1.0


class LiveView:
    """Stage, trial k of N, scores, best, calls, tokens, cost and time left.

    It asks for what is spent at most once a second, from the display's own thread.

    Args:
        console: The terminal; log lines of the same console scroll above it.
    """

    def __init__(self, console: Console) -> None:
        self.phase = "start"
        self._optimizer = ""
        self._trials: list[Trial] = []
        self._n_replayed = 0
        self._planned = 0
        self._forecast: Forecast | None = None
        self._spent: Callable[[], Usage] | None = None
        self._clock = time.monotonic()
        self._polled: tuple[float, Usage | None] = (0.0, None)
        self._live = Live(
            get_renderable=self.render,
            console=console,
            refresh_per_second=2,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> "LiveView":
        """Starts the display."""
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves the last state on the terminal."""
        self._live.__exit__(kind, error, trace)

    def start(
        self,
        optimizer: str,
        planned: int,
        forecast: Forecast | None,
        spent: Callable[[], Usage],
    ) -> None:
        """Takes what is known before the first call."""
        self._optimizer, self._planned = optimizer, planned
        self._forecast = forecast
        self._spent, self._clock = spent, time.monotonic()

    def add(self, trial: Trial, *, replayed: bool = False) -> None:
        """Adds a trial's score."""
        self._trials.append(trial)
        self._n_replayed += replayed

    def end(self, how: str) -> None:
        """Shows the last figures whatever their age."""
        self.phase, self._polled = how, (0.0, None)

    def render(self) -> RenderableType:
        """The panel at this moment."""
        table = Table.grid(padding=(0, 2))
        for name, value in self._lines().items():
            table.add_row(f"[bold]{name}", value)
        return Panel(table, title=f"optimize: {self._optimizer}", expand=False)

    def _lines(self) -> dict[str, str]:
        spent = self._poll()
        replayed = f", {self._n_replayed} replayed" if self._n_replayed else ""
        lines = {
            "stage": self.phase,
            "trial": f"{len(self._trials)} of {self._planned}{replayed}",
            "scores": sparkline([trial.score for trial in self._trials]),
            "best": f"{self._trials[-1].best:.4f}" if self._trials else "-",
        }
        if spent is not None:
            expected = between(self._forecast.calls) if self._forecast else "?"
            cost = "unknown" if spent.cost_usd is None else f"{spent.cost_usd:.4f} USD"
            lines["LM calls"] = (
                f"{spent.paid} paid, {spent.cached} cached, {expected} expected"
            )
            lines["tokens, cost"] = f"{spent.tokens}, {cost}"
        lines["time left"] = self._time_left()
        return lines

    def _poll(self) -> Usage | None:
        polled, spent = self._polled
        if self._spent is not None and time.monotonic() - polled >= _POLL_SECONDS:
            spent = self._spent()
            self._polled = (time.monotonic(), spent)
        return spent

    def _time_left(self) -> str:
        """By the trials so far once a tenth is done, before that by the forecast."""
        elapsed = time.monotonic() - self._clock
        n_scored = len(self._trials) - self._n_replayed
        done = n_scored / max(1, self._planned - self._n_replayed)
        if done >= 0.1:  # noqa: PLR2004
            return f"about {minutes(max(0.0, elapsed / done - elapsed))}"
        if self._forecast is not None:
            return f"at most {minutes(max(0.0, self._forecast.seconds - elapsed))}"
        return "unknown"


def sparkline(scores: list[float], width: int = 40) -> str:
    """The last scores as bars; 0.0 is the lowest bar, 1.0 the highest."""
    top = len(_BARS) - 1
    return "".join(_BARS[round(score * top)] for score in scores[-width:])


def minutes(seconds: float) -> str:
    """A duration in words a person reads at a glance."""
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[Progress]:
    """A live display if the console is a terminal, else one log line per event.

    A terminal has one display: of several optimizations at a time the others log.
    """
    console = console or get_console()
    on_terminal = console.is_terminal and sys.stdout.isatty()
    if not (on_terminal and _display.acquire(blocking=False)):
        yield log_event
        return
    try:
        with LiveView(console) as view:

            def show(event: Event) -> None:
                _to_view(view, event)

            yield show
    finally:
        _display.release()


_display = threading.Lock()


def _to_view(view: LiveView, event: Event) -> None:
    match event:
        case Started():
            view.start(event.optimizer, event.trials, event.forecast, event.spent)
        case Phase():
            view.phase = event.name
        case Scored():
            view.add(event.trial, replayed=event.replayed)
        case Ended():
            view.end(event.ended)
