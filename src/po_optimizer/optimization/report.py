"""What an optimization gives: a program and how it came about."""

import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import dspy

from po_optimizer.lms.usage import Usage
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.optimization.journal import Trial
from po_optimizer.params import Frozen

EndedHow = Literal["completed", "budget", "interrupted"]


class ForecastAccuracy(Frozen):
    """What came of the most that was forecast, as ratios; None: unknown."""

    calls: float | None
    tokens: float | None
    seconds: float | None
    cost: float | None


class OptimizationReport(Frozen):
    """How an optimization went; scores are means in [0, 1], higher is better.

    Args:
        ended: Why it ended.
        reason: The same as a sentence; "" if it simply completed.
        baseline: The unoptimized program on the valset.
        best: The trial that won; equal to `baseline` if nothing was better.
        instructions: The winner's, per predictor.
        n_demos: The winner's number of demos, per predictor.
        n_trials: Evaluations in the journal, the baseline included.
        seconds: Wall time over all restarts.
        spent: LM calls, tokens and cost over all restarts.
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
    forecast_against_actual: ForecastAccuracy | None
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


def compare(
    forecast: Forecast | None, spent: Usage, seconds: float
) -> ForecastAccuracy | None:
    """Actual divided by the most that was forecast; None without a forecast."""
    if forecast is None:
        return None
    return ForecastAccuracy(
        calls=_ratio(spent.paid, forecast.calls.upper),
        tokens=_ratio(spent.tokens, forecast.tokens),
        seconds=_ratio(seconds, forecast.seconds),
        cost=_ratio(spent.cost_usd, forecast.cost_usd),
    )


def _ratio(actual: float | None, expected: float | None) -> float | None:
    return round(actual / expected, 3) if actual is not None and expected else None
