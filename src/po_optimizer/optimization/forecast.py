"""What an optimization will cost: calls by formula, the rest from experience."""

from dataclasses import replace

from po_optimizer.lms.lm import MeteredLM
from po_optimizer.lms.usage import Basis, MeanUsage
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.optimizers.base import CallRange, PerRun
from po_optimizer.optimization.preflight.run import PreflightReport
from po_optimizer.params.base import Frozen
from po_optimizer.params.optimize import BudgetParams

_NO_CALLS = CallRange(lower=0, upper=0)

WORTH = 0.02
"""A gain in score that counts as one."""


class Headroom(Frozen):
    """What the search is likely to gain over the program it starts from.

    Attributes:
        gain: Expected true gain of the program that the search would choose, in
            [0, 1].
        low: With 5 % probability the gain is less.
        high: With 5 % probability it is more.
        probability_none: That no candidate of the search is better by `WORTH`.
        candidates: Tried, the start not counted.
        examples: Of the valset, answered by each of them.
        calls: LM calls that it took, beside those that the search needs too.
    """

    gain: float
    low: float
    high: float
    probability_none: float
    candidates: int
    examples: int
    calls: int = 0

    def describe(self) -> str:
        """One sentence for the terminal and the log."""
        return (
            f"headroom: expected gain {self.gain:+.2f} ({self.low:+.2f} to "
            f"{self.high:+.2f}), probability of none {self.probability_none:.0%} "
            f"(from {self.candidates} candidates on {self.examples} examples)"
        )


class Forecast(Frozen):
    """Bounds of an optimization's LM calls, and tokens, time and cost of the upper one.

    Args:
        task: Calls of the task LM.
        prompt: Calls of the prompt LM.
        preflight: Calls that only the preflight needs, beside the probe's, which are
            the first of the baseline's.
        evaluation: Calls of an evaluation that follows and of the first use; the two
            programs are asked once where they turn out equal.
        trials: Evaluations that the journal will hold.
        tokens: Of the optimization, at most; None: unknown.
        seconds: Wall time of the optimization with `num_threads` calls at a time, at
            most.
        cost_usd: Of the optimization, at most; None: unknown.
        per_run: LM calls of one run of the program; None: one a predictor.
        headroom: What the search is likely to gain, where it was asked for.
        over_budget: Bounds of the budget that the most calls would pass, in words.
    """

    optimizer: str
    task: CallRange
    prompt: CallRange
    preflight: int = 0
    evaluation: CallRange = _NO_CALLS
    trials: int
    task_rate: MeanUsage
    prompt_rate: MeanUsage
    num_threads: int
    tokens: float | None
    seconds: float
    cost_usd: float | None
    per_run: PerRun | None = None
    headroom: Headroom | None = None
    over_budget: list[str]

    @property
    def calls(self) -> CallRange:
        """LM calls of the optimization, preflight and headroom included."""
        before = self.preflight + (self.headroom.calls if self.headroom else 0)
        return self.task + self.prompt + CallRange(lower=before, upper=before)

    def describe(self) -> str:
        """One sentence for the terminal and the log."""
        most = self.evaluation.upper
        whole, rate = self.calls + self.evaluation, self.task_rate
        share = whole.lower / max(1, whole.upper)
        tokens = _sum(1, self.tokens, most, rate.tokens)
        cost = _sum(1, self.cost_usd, most, rate.cost_usd)
        seconds = self.seconds + most * rate.seconds / self.num_threads
        time = _between(seconds / 60, share, " minutes", digits=1)
        if seconds < 90:  # noqa: PLR2004
            time = _between(seconds, share, " s")
        over = (
            f"; may reach the budget: {', '.join(self.over_budget)}"
            if self.over_budget
            else ""
        )
        evaluation = f", {between(self.evaluation)} to evaluate" if most else ""
        headroom = f"\n{self.headroom.describe()}" if self.headroom else ""
        return (
            f"{self.optimizer}: {between(whole)} LM calls, {time}, "
            f"{_between(tokens, share, ' tokens')}, "
            f"cost {_between(cost, share, ' USD', digits=4)} "
            f"(from the {rate.basis}, n={rate.n}): {between(self.calls)} to optimize "
            f"in {self.trials} trials (task LM {between(self.task)}, prompt LM "
            f"{between(self.prompt)}, preflight {self.preflight}){evaluation}"
            f"{over}{headroom}"
        )


def between(calls: CallRange) -> str:
    """A number of calls as text, or "lower to upper"."""
    if calls.lower == calls.upper:
        return f"{calls.upper}"
    return f"{calls.lower} to {calls.upper}"


def _between(most: float | None, share: float, unit: str, digits: int = 0) -> str:
    if most is None:
        return f"unknown{unit}" if unit == " tokens" else "unknown"
    lower, upper = f"{most * share:,.{digits}f}", f"{most:,.{digits}f}"
    return f"{upper}{unit}" if lower == upper else f"{lower} to {upper}{unit}"


def forecast(
    job: Job,
    report: PreflightReport | None = None,
    *,
    n_evaluated: int = 0,
    n_used: int = 0,
) -> Forecast:
    """The forecast for one optimization; it makes no LM call.

    Seconds, tokens and cost come from the ledger's paid calls of this LM in earlier
    optimizations, else from those of the preflight's probe, else from
    `lm.seconds_per_example`; what a run takes beside its calls, from the probe's runs.

    Args:
        job: The optimization.
        report: Of its preflight: how many calls a run of the program makes, which is
            more than one a predictor for an agent or a loop; None: one a predictor.
        n_evaluated: Answers of each program in the evaluation that follows; 0: none.
        n_used: Answers of the chosen program after that.
    """
    params, task_lm, prompt_lm = job.params, job.task_lm, job.prompt_lm
    optimizer = make_optimizer(params)
    sizes = optimizer.sizes(job)
    if report is not None and report.calls_per_run:
        sizes = replace(sizes, per_run=PerRun.of(report.calls_per_run))
    calls = optimizer.calls(sizes)
    task_rate, prompt_rate = mean_usage(task_lm), mean_usage(prompt_lm)
    if report is not None and sizes.per_run is not None:
        own = report.own_seconds / max(1, sizes.per_run.most)
        task_rate = task_rate.model_copy(update={"seconds": task_rate.seconds + own})
    threads, extra = task_lm.num_threads, report.extra_calls if report else 0
    n_task, n_prompt = calls.task.upper + extra, calls.prompt.upper
    seconds = n_task * task_rate.seconds / threads + n_prompt * prompt_rate.seconds
    tokens = _sum(n_task, task_rate.tokens, n_prompt, prompt_rate.tokens)
    cost = _sum(n_task, task_rate.cost_usd, n_prompt, prompt_rate.cost_usd)
    return Forecast(
        optimizer=params.optimizer,
        task=calls.task,
        prompt=calls.prompt,
        preflight=extra,
        evaluation=sizes.calls(
            lower=n_evaluated + n_used, upper=2 * n_evaluated + n_used
        ),
        trials=optimizer.evaluations(sizes),
        task_rate=task_rate,
        prompt_rate=prompt_rate,
        num_threads=threads,
        tokens=tokens,
        seconds=seconds,
        cost_usd=cost,
        per_run=sizes.per_run,
        over_budget=_over_budget(
            params.budget,
            max_calls=n_task + n_prompt,
            max_tokens=tokens,
            max_cost_usd=cost,
            max_minutes=seconds / 60,
        ),
    )


def mean_usage(lm: MeteredLM) -> MeanUsage:
    """What a call of the LM took so far, or is said to take."""
    sources: list[tuple[Basis, str]] = [("ledger", "optimize"), ("probe", "preflight")]
    for basis, stage in sources:
        mean = lm.meter.ledger.totals(stage=stage).per_call(basis)
        if mean is not None:
            return mean
    seconds = lm.params.seconds_per_example
    return MeanUsage(basis="setting", n=0, seconds=seconds, tokens=None, cost_usd=None)


def _sum(
    n_task: int, task_rate: float | None, n_prompt: int, prompt_rate: float | None
) -> float | None:
    if task_rate is None or (prompt_rate is None and n_prompt):
        return None
    return n_task * task_rate + n_prompt * (prompt_rate or 0.0)


def _over_budget(budget: BudgetParams, **most: float | None) -> list[str]:
    return [
        f"optimize.budget.{name}={bound:g} (up to {value:.4g})"
        for name, value in most.items()
        if (bound := getattr(budget, name)) is not None
        and value is not None
        and value > bound
    ]
