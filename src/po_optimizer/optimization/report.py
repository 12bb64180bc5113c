"""Events of a running optimization, its report and its result."""

import json
import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import dspy

from po_optimizer.lms.usage import Usage
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.optimization.journal import Trial
from po_optimizer.params.base import Frozen

EndedHow = Literal["completed", "budget", "interrupted"]


class OptimizationReport(Frozen):
    """How an optimization went; scores are means in [0, 1], higher is better.

    Args:
        ended: Why it ended.
        reason: The same as a sentence; of a completed race, what became of its
            candidates; "" if there is nothing to say.
        baseline: The unoptimized program on the valset.
        best: The trial that won; equal to `baseline` if nothing was better.
        instructions: The winner's, per predictor.
        n_demos: The winner's number of demos, per predictor.
        n_trials: Evaluations in the journal, the baseline included.
        seconds: Wall time over all restarts.
        spent: LM calls, tokens and cost over all restarts.
        forecast: Of it, before it began; None: none was made.
        fingerprint: What the result depends on.
    """

    optimizer: str
    optimization_id: str
    seed: int
    ended: EndedHow
    reason: str
    baseline: Trial
    best: Trial
    instructions: list[str]
    n_demos: list[int]
    n_trials: int
    seconds: float
    spent: Usage
    forecast: Forecast | None
    fingerprint: dict[str, str]

    def provenance(self, **more: Any) -> dict[str, Any]:
        """How the program came about, to be stored with it; `more` stands first."""
        return {
            **more,
            "optimizer": self.optimizer,
            "optimization_id": self.optimization_id,
            "seed": self.seed,
            "ended": self.ended,
            "valset_baseline": self.baseline.model_dump(mode="json"),
            "valset_best": self.best.model_dump(mode="json"),
            "task_lm": self.fingerprint["task_lm.slug"],
            "adapter": json.loads(self.fingerprint["task_lm.adapter"]),
            "prompt_lm": self.fingerprint["prompt_lm.slug"],
            "versions": dict(_versions()),
            "python": platform.python_version(),
        }


def _versions() -> Iterator[tuple[str, str]]:
    for name in ("po-optimizer", "dspy", "dill", "kedro", "optuna", "pydantic"):
        with suppress(PackageNotFoundError):  # of an extra
            yield name, version(name)


@dataclass(frozen=True)
class OptimizationResult:
    """The best program found, the report on the search, and its trials."""

    program: dspy.Module
    report: OptimizationReport
    trials: list[Trial]


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
        results: Of DSPy's evaluation, one an example; see `answers`.
    """

    trial: Trial
    replayed: bool = False
    results: Sequence[tuple[Any, Any, Any]] = ()

    @property
    def answers(self) -> list[tuple[Any, Any, Any]]:
        """Example, prediction and score of each; GEPA's have a trace beside theirs."""
        return [
            (example, answer[0] if isinstance(answer, tuple) else answer, score)
            for example, answer, score in self.results
        ]

    @property
    def is_best(self) -> bool:
        """It has the highest score of a whole valset so far."""
        whole = self.trial.kind in ("baseline", "full_eval")
        return whole and self.trial.score == self.trial.best


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
    """Passes every event of the block to the listener, whatever the thread.

    Args:
        listener: Also told what `optimize` and `evaluate` of the API give.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def publish(event: Any) -> None:
    """Passes an event to every listener."""
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
            plan = f"{event.optimizer}, {event.trials} trials"
            if event.forecast is not None:
                plan = event.forecast.describe()
            return f"optimize: {plan}{resumed}"
        case Phase():
            return f"optimize: {event.name}"
        case Scored(trial=t):
            replayed = " (replayed)" if event.replayed else ""
            return (
                f"trial {t.trial} {t.kind}{replayed}: score={t.score:.4f} n={t.n} "
                f"failed={t.n_failed} best={t.best:.4f} "
                f"instruction={t.instruction} demo_set={t.demo_set} "
                f"calls={t.calls_paid} paid, {t.calls_cached} cached, {t.seconds:.1f} s"
                + (f", given up: {t.reason}" if t.reason else "")
            )
        case Ended():
            best = "none" if event.best is None else f"{event.best:.4f}"
            return f"optimize: {event.ended}, best={best}, {event.seconds:.0f} s"
