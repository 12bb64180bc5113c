"""What a terminal shows while a stage works: a bar, how far it is, the time left."""

import contextvars
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

from rich import get_console
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.lms.usage import Usage
from po_optimizer.optimization.forecast import between
from po_optimizer.optimization.report import (
    Ended,
    Event,
    Phase,
    Progress,
    Scored,
    Started,
    log_event,
)

logger = logging.getLogger(__name__)

SECONDS = 15.0  # between two log lines where there is no terminal
_POLL_SECONDS = 1.0
_REASON = 200  # characters of why an example has no score or a score of 0.0
_display = threading.Lock()


class StageBar:
    """One stage: its name, a bar, how much is done, the time left.

    Args:
        name: Of the stage.
        total: Steps that it has; the last one ends it. 0: nobody counts them, and the
            bar goes by the clock.
        seconds: It takes at most, by the forecast; None: unknown.
    """

    def __init__(self, name: str, total: int = 0, seconds: float | None = None) -> None:
        self.name, self.total, self.seconds = name, total, seconds
        self.done = 0
        self.detail = ""
        self._begun = self._paced_from = time.monotonic()
        self._left: float | None = None  # seconds
        self._longest, self._kept = 0.0, 0

    def advance(self, seconds: float = 0.0) -> None:
        """Counts a step that is done.

        After a restart the first answers are kept ones. When a step takes ten times as
        long as each one before it, they do not count for the time left.

        Args:
            seconds: That the step took.
        """
        if seconds > 10 * self._longest:
            self._paced_from, self._kept = time.monotonic() - seconds, self.done
        self._longest = max(self._longest, seconds)
        self.done += 1
        self.measure(self.done - self._kept, self.total - self._kept)

    def measure(self, done: int, total: int) -> None:
        """Estimates the time left from the work that is done, once it is a tenth."""
        if done and done * 10 >= total:
            elapsed = time.monotonic() - self._paced_from
            self._left = elapsed / done * max(0, total - done)

    @property
    def _count(self) -> str:
        return f"{self.done} of {self.total}" if self.total else ""

    def __str__(self) -> str:
        """The stage at this moment, in a log line."""
        parts = filter(None, (self._count, self.detail, self.time_left()))
        return f"{self.name}: {', '.join(parts)}"

    def __rich__(self) -> RenderableType:
        """The stage at this moment; a bar without total and seconds only moves."""
        bar = ProgressBar(self.total, self.done, width=20)
        if not self.total:
            elapsed, most = time.monotonic() - self._begun, self.seconds or 0.0
            bar = ProgressBar(most or None, min(elapsed, 0.95 * most), width=20)
        line = Table.grid(padding=(0, 2))
        counts = [self._count] if self.total else []
        line.add_row(self.name, bar, *counts, self.time_left())
        return Group(line, Text(f"  {self.detail}", "dim")) if self.detail else line

    def time_left(self) -> str:
        """The time left: by the work so far from a tenth on, else by the forecast."""
        elapsed = time.monotonic() - self._begun
        if self.total and self.done >= self.total:
            return ""
        if self._left is not None:
            return f"about {minutes(self._left)} left"
        if self.seconds is not None and self.seconds > elapsed:
            return f"at most {minutes(self.seconds - elapsed)} left"
        return f"since {minutes(elapsed)}"


@contextmanager
def show(view: RenderableType, console: Console | None = None) -> Iterator[bool]:
    """Shows a live view below the log lines; gives False without a terminal.

    A terminal has one display: of several stages at a time the others log, as all do
    without one: a line now and then, so that a long wait is not taken for a dead run.
    """
    console = console or get_console()
    # rich draws nothing on a dumb one (TERM=dumb, as within Emacs)
    draws = console.is_terminal and not console.is_dumb_terminal
    if not (draws and sys.stdout.isatty() and _display.acquire(blocking=False)):
        with _logged(view):
            yield False
        return
    try:
        with Live(
            get_renderable=lambda: view,
            console=console,
            refresh_per_second=2,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
        ):
            yield True
    finally:
        _display.release()


@contextmanager
def _logged(view: RenderableType) -> Iterator[None]:
    ended = threading.Event()

    def log() -> None:
        while not ended.wait(SECONDS):
            logger.info("%s", view)

    run = contextvars.copy_context().run  # with the subject of this stage's lines
    thread = threading.Thread(target=run, args=(log,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def watch(
    records: Generator[PredictionRecord, None, None],
    stage: str,
    n: int,
) -> Iterator[PredictionRecord]:
    """Passes an evaluation's records on and shows how far it is.

    A line comes at the end. One for each example stands in the log at DEBUG:
    `kedro run -v`.

    Args:
        records: They are made while they are passed on.
        stage: What the lines begin with.
        n: Records to come.
    """
    bar, counts, begun = StageBar(stage, n), Counter[str](), time.monotonic()
    with closing(records), show(bar):
        for record in records:
            counts[record.status] += 1
            bar.advance(record.seconds)
            bar.detail = _failures(counts)
            _log_example(stage, n, bar.done, record)
            yield record
    took = minutes(time.monotonic() - begun)
    counted = ", ".join(filter(None, (f"{bar.done} examples", bar.detail, took)))
    logger.info("%s: %s", stage, counted)


def _failures(counts: Counter[str]) -> str:
    names = ("failed", "unscored")
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name])


def _log_example(stage: str, n: int, number: int, record: PredictionRecord) -> None:
    why = " ".join(record.reason.split())[:_REASON]
    logger.debug(
        "%s: example %d of %d, %s %s%s%s, %.1f s",
        stage,
        number,
        n,
        record.example_id,
        record.status,
        f" ({why})" if why else "",
        "" if record.score is None else f", score={record.score:.3f}",
        record.seconds,
    )


class OptimizationView:
    """Trial k of N with the best score, calls, tokens, cost and time left.

    It asks for what is spent at most once a second, from the display's own thread.
    """

    def __init__(self) -> None:
        self.logs_all = False
        self._bar = StageBar("optimize")
        self._run: Started | None = None
        self._best: float | None = None
        self._replayed = 0
        self._polled: tuple[float, Usage | None] = (0.0, None)
        self._before = 0  # calls that were paid before this view

    def __call__(self, event: Event) -> None:
        """Takes what the optimization tells; begin and end stand in the log, too."""
        if self.logs_all or isinstance(event, Started | Ended):
            log_event(event)
        match event:
            case Started():
                seconds = event.forecast.seconds if event.forecast else None
                self._run = event
                self._bar = StageBar("optimize", event.trials, seconds)
            case Phase():
                self._bar.name = f"optimize: {event.name}"
            case Scored():
                self._best = event.trial.best
                self._bar.done += 1
                self._replayed += event.replayed

    def __str__(self) -> str:
        """The optimization at this moment, in a log line."""
        return str(self.__rich__())

    def __rich__(self) -> StageBar:
        """The optimization at this moment."""
        best = "" if self._best is None else f"best {self._best:.4f}"
        replayed = f"{self._replayed} trials replayed" if self._replayed else ""
        parts = filter(None, (best, self._describe_spent(), replayed))
        self._bar.detail = "  ".join(parts)
        return self._bar

    def _describe_spent(self) -> str:
        """Calls, tokens and cost so far; they set the time left, too."""
        if self._run is None:
            return ""
        forecast, (polled, spent) = self._run.forecast, self._polled
        if spent is None or time.monotonic() - polled >= _POLL_SECONDS:
            first, spent = spent is None, self._run.spent()
            self._before = spent.paid if first else self._before
            if forecast is not None:
                calls = forecast.calls.upper - self._before
                self._bar.measure(spent.paid - self._before, calls)
            self._polled = (time.monotonic(), spent)
        expected = f" of {between(forecast.calls)}" if forecast else ""
        return (
            f"{spent.paid}{expected} LM calls, {spent.tokens:,} tokens, {cost(spent)}"
        )


def cost(spent: Usage) -> str:
    """What was paid, in words."""
    if spent.cost_usd is None:
        return "cost unknown"
    return f"cost ${spent.cost_usd:.4f}" if spent.cost_usd else "no cost"


def minutes(seconds: float) -> str:
    """A duration in words a person reads at a glance."""
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[Progress]:
    """A live display if the console is a terminal, else one log line per event."""
    view = OptimizationView()
    with show(view, console) as on_terminal:
        view.logs_all = not on_terminal
        yield view
