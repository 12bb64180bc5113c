"""The live display of a running optimization."""

import sys
import threading
import time
from collections.abc import Iterator
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
from po_optimizer.optimization.forecast import between

_BARS = "▁▂▃▄▅▆▇█"
_POLL_SECONDS = 1.0


class LiveView:
    """Stage, trial k of N, scores, best, calls, tokens, cost and time left.

    It asks for what is spent at most once a second, from the display's own thread.

    Args:
        console: The terminal; log lines of the same console scroll above it.
    """

    def __init__(self, console: Console) -> None:
        self._phase = "start"
        self._run: Started | None = None
        self._trials: list[Scored] = []
        self._clock = time.monotonic()
        self._polled: tuple[float, Usage | None] = (0.0, None)
        self._live = Live(
            get_renderable=self.render,
            console=console,
            refresh_per_second=2,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __call__(self, event: Event) -> None:
        """Takes what the optimization tells."""
        match event:
            case Started():
                self._run, self._clock = event, time.monotonic()
            case Phase():
                self._phase = event.name
            case Scored():
                self._trials.append(event)
            case Ended():  # the last figures, whatever their age
                self._phase, self._polled = event.ended, (0.0, None)

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

    def render(self) -> RenderableType:
        """The panel at this moment."""
        table = Table.grid(padding=(0, 2))
        for name, value in self._lines().items():
            table.add_row(f"[bold]{name}", value)
        optimizer = self._run.optimizer if self._run else ""
        return Panel(table, title=f"optimize: {optimizer}", expand=False)

    def _lines(self) -> dict[str, str]:
        n_replayed = sum(event.replayed for event in self._trials)
        replayed = f", {n_replayed} replayed" if n_replayed else ""
        planned = self._run.trials if self._run else 0
        scores = [event.trial.score for event in self._trials]
        lines = {
            "stage": self._phase,
            "trial": f"{len(scores)} of {planned}{replayed}",
            "scores": sparkline(scores),
            "best": f"{self._trials[-1].trial.best:.4f}" if scores else "-",
        }
        if (spent := self._poll()) is not None:
            forecast = self._run.forecast if self._run else None
            expected = between(forecast.calls) if forecast else "?"
            cost = "unknown" if spent.cost_usd is None else f"{spent.cost_usd:.4f} USD"
            lines["LM calls"] = (
                f"{spent.paid} paid, {spent.cached} cached, {expected} expected"
            )
            lines["tokens, cost"] = f"{spent.tokens}, {cost}"
        lines["time left"] = self._time_left(planned - n_replayed, n_replayed)
        return lines

    def _poll(self) -> Usage | None:
        polled, spent = self._polled
        if self._run is not None and time.monotonic() - polled >= _POLL_SECONDS:
            spent = self._run.spent()
            self._polled = (time.monotonic(), spent)
        return spent

    def _time_left(self, n_to_score: int, n_replayed: int) -> str:
        """By the trials so far once a tenth is done, before that by the forecast."""
        elapsed = time.monotonic() - self._clock
        done = (len(self._trials) - n_replayed) / max(1, n_to_score)
        if done >= 0.1:  # noqa: PLR2004
            return f"about {minutes(max(0.0, elapsed / done - elapsed))}"
        if self._run is not None and self._run.forecast is not None:
            return f"at most {minutes(max(0.0, self._run.forecast.seconds - elapsed))}"
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
            yield view
    finally:
        _display.release()


_display = threading.Lock()
