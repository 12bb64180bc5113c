"""The events of a running optimization, and their log lines."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from po_optimizer.lms.usage import Usage
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.optimization.journal import Trial

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """An optimization begins, or is resumed.

    Args:
        trials: Evaluations to come, the baseline included.
        resumed: Trials that the journal holds from earlier runs.
        spent: Gives what is spent at the moment.
        fingerprint: What the result depends on, part by part.
    """

    optimizer: str
    trials: int
    resumed: int
    forecast: Forecast | None
    spent: Callable[[], Usage]
    fingerprint: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Phase:
    """What the optimizer does now, in a word or two."""

    name: str


@dataclass(frozen=True)
class Scored:
    """A trial was added to the journal.

    Args:
        replayed: It was there before: a resumed run only follows it, by kept answers.
    """

    trial: Trial
    replayed: bool = False


@dataclass(frozen=True)
class Ended:
    """The optimization has ended.

    Args:
        ended: completed, budget or interrupted, or an error's class.
        best: In [0, 1]; None: not even the baseline was evaluated.
    """

    ended: str
    best: float | None
    seconds: float


Event = Started | Phase | Scored | Ended
Progress = Callable[[Event], None]

_listeners: list[Callable[[Any], None]] = []


@contextmanager
def listening(listener: Callable[[Any], None]) -> Iterator[None]:
    """Within the block the listener is told every event, in whichever thread.

    Args:
        listener: Also told what `optimize` and `evaluate` of the API give.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(event: Any) -> None:
    """Tells all who listen."""
    for listener in _listeners:
        listener(event)


def log_event(event: Event) -> None:
    """Logs the event as one line at INFO."""
    _log.info("%s", describe(event))


def describe(event: Event) -> str:
    """Describes the event in one line."""
    match event:
        case Started():
            resumed = f", resumed after trial {event.resumed}" if event.resumed else ""
            forecast = f"; {event.forecast.describe()}" if event.forecast else ""
            return (
                f"optimize: {event.optimizer}, {event.trials} trials{resumed}{forecast}"
            )
        case Phase():
            return f"optimize: {event.name}"
        case Scored(trial=t):
            replayed = " (replayed)" if event.replayed else ""
            return (
                f"trial {t.trial} {t.kind}{replayed}: score={t.score:.4f} n={t.n} "
                f"failed={t.n_failed} best={t.best:.4f} "
                f"instruction={t.instruction} demo_set={t.demo_set} "
                f"calls={t.calls_paid} paid, {t.calls_cached} cached, {t.seconds:.1f} s"
            )
        case Ended():
            best = "none" if event.best is None else f"{event.best:.4f}"
            return f"optimize: {event.ended}, best={best}, {event.seconds:.0f} s"
