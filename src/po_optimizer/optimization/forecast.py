"""What an optimization will cost: calls by formula, the rest from experience."""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from po_optimizer.lms import MeanUsage, MeteredLM
from po_optimizer.lms.usage import Basis
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import (
    CallRange,
    PerRun,
    make_optimizer,
    sizes_of,
)
from po_optimizer.params import BudgetParams


class Forecast(BaseModel):
    """LM calls, tokens, seconds and cost of a whole optimization, if nothing is cached.

    Args:
        task: Calls of the task LM.
        prompt: Calls of the prompt LM.
        trials: Evaluations that the journal will hold.
        tokens: Of the expected calls; None: unknown.
        seconds: Wall time of the expected calls with `num_threads` at a time.
        cost_usd: Of the expected calls; None: unknown.
        per_run: LM calls of one run of the program; None: one a predictor.
        over_budget: Bounds of the budget that the expected calls pass, in words.
    """

    model_config = ConfigDict(frozen=True)

    optimizer: str
    task: CallRange
    prompt: CallRange
    trials: int
    task_rate: MeanUsage
    prompt_rate: MeanUsage
    num_threads: int
    tokens: float | None
    seconds: float
    cost_usd: float | None
    per_run: PerRun | None = None
    over_budget: list[str]

    @property
    def calls_expected(self) -> int:
        """Of both LMs."""
        return self.task.expected + self.prompt.expected

    @property
    def calls_upper(self) -> int:
        """Of both LMs, if every answer can be parsed."""
        return self.task.upper + self.prompt.upper

    def in_words(self) -> str:
        """One sentence for the terminal and the log."""
        lower = self.task.lower + self.prompt.lower
        cost = "unknown" if self.cost_usd is None else f"{self.cost_usd:.4f} USD"
        tokens = "unknown" if self.tokens is None else f"{self.tokens:.0f}"
        over = (
            f"; OVER BUDGET: {', '.join(self.over_budget)}" if self.over_budget else ""
        )
        return (
            f"{self.optimizer}: {self.calls_expected} LM calls expected "
            f"({lower} to {self.calls_upper}; task LM {self.task.expected}, prompt LM "
            f"{self.prompt.expected}), {self.trials} trials, tokens {tokens}, "
            f"{self.seconds / 60:.1f} minutes, cost {cost} "
            f"(from the {self.task_rate.basis}, n={self.task_rate.n}){over}"
        )


def forecast(job: Job, calls_per_run: Sequence[int] = ()) -> Forecast:
    """The forecast for one optimization; it makes no LM call.

    Seconds, tokens and cost come from the ledger's paid calls of this LM in earlier
    optimizations, else from those of the preflight's probe, else from
    `lm.seconds_per_example`.

    Args:
        job: The optimization.
        calls_per_run: LM calls of some runs of the program, as the preflight's report
            has them: an agent or a loop makes more than one a predictor, which is what
            is expected without them.
    """
    params, task_lm, prompt_lm = job.params, job.task_lm, job.prompt_lm
    optimizer, sizes = make_optimizer(params), sizes_of(job)
    if calls_per_run:
        sizes = replace(sizes, per_run=PerRun.of(calls_per_run))
    calls = optimizer.calls(sizes)
    task_rate, prompt_rate = _rate(task_lm), _rate(prompt_lm)
    threads = task_lm.num_threads
    seconds = calls.task.expected * task_rate.seconds / threads
    seconds += calls.prompt.expected * prompt_rate.seconds
    made = Forecast(
        optimizer=params.optimizer,
        task=calls.task,
        prompt=calls.prompt,
        trials=optimizer.evaluations(sizes),
        task_rate=task_rate,
        prompt_rate=prompt_rate,
        num_threads=threads,
        tokens=_weighted(
            calls.task, task_rate.tokens, calls.prompt, prompt_rate.tokens
        ),
        seconds=seconds,
        cost_usd=_weighted(
            calls.task, task_rate.cost_usd, calls.prompt, prompt_rate.cost_usd
        ),
        per_run=sizes.per_run,
        over_budget=[],
    )
    return made.model_copy(update={"over_budget": _over(made, params.budget)})


def _rate(lm: MeteredLM) -> MeanUsage:
    sources: list[tuple[Basis, str]] = [("ledger", "optimize"), ("probe", "preflight")]
    for basis, stage in sources:
        mean = lm.meter.ledger.totals(stage=stage).per_call(basis)
        if mean is not None:
            return mean
    seconds = lm.params.seconds_per_example
    return MeanUsage(basis="setting", n=0, seconds=seconds, tokens=None, cost_usd=None)


def _weighted(
    task: CallRange,
    task_each: float | None,
    prompt: CallRange,
    prompt_each: float | None,
) -> float | None:
    if task_each is None or (prompt_each is None and prompt.expected):
        return None
    return task.expected * task_each + prompt.expected * (prompt_each or 0.0)


def _over(made: Forecast, budget: BudgetParams) -> list[str]:
    expected: dict[str, float | None] = {
        "max_calls": made.calls_expected,
        "max_tokens": made.tokens,
        "max_cost_usd": made.cost_usd,
        "max_minutes": made.seconds / 60,
    }
    bounds: dict[str, float | None] = budget.model_dump()
    return [
        f"optimize.budget.{name}={bound:g} (expected {value:.4g})"
        for name, value in expected.items()
        if (bound := bounds[name]) is not None and value is not None and value > bound
    ]
