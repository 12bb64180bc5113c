"""What a search could gain, estimated from a few cheap candidates before it is paid.

About ten candidates, each with other demos, other instructions or both, answer a few
examples of the valset. How their scores differ says how far apart the candidates of a
search will lie, and so what the best of them is likely to be worth.
"""

import contextlib
from dataclasses import replace
from itertools import cycle
from logging import getLogger

import dspy
import numpy as np
from dspy.utils.exceptions import AdapterParseError
from numpy.typing import NDArray

from po_optimizer.lms.interrupt import Control, orderly_interrupt
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import BudgetReached, StopRun
from po_optimizer.optimization.budget import Budget
from po_optimizer.optimization.forecast import WORTH, Forecast, Headroom
from po_optimizer.optimization.guarded_metric import GuardedMetric
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.quiet import quiet_dspy
from po_optimizer.optimization.run_identity import optimization_id, run_fingerprint

logger = getLogger(__name__)

SHARE = 0.15
"""Most LM calls of the estimate, as a share of the calls of the search."""

_CANDIDATES = 10
_FEWEST_CANDIDATES = 4
_FEWEST_EXAMPLES = 3
_DRAWS = 4000
_SPREAD = 0.15
"""Standard deviation of effects and of scores that is assumed before any is seen."""
_WEIGHT = 2.0
"""How many observations that assumption counts for."""
_INTERVAL = (0.05, 0.95)

_ADVICE = (
    "Short, strict about the form of the answer.",
    "Step by step: what to look at first, what to decide, how to write it down.",
    "With the mistakes that are easily made, and how to avoid them.",
    "For an expert of the subject, with the criteria that make an answer good.",
    "With what to do when the inputs are unclear or contradict each other.",
)

Values = NDArray[np.float64]


class RewriteInstructions(dspy.Signature):
    """Write better instructions for one step of an LM program.

    Keep what the step is for and the names of its fields.
    """

    current_instructions: str = dspy.InputField()
    step: str = dspy.InputField(desc="inputs -> outputs")
    advice: str = dspy.InputField(desc="how the new instructions should be")
    new_instruction: str = dspy.OutputField()


def with_headroom(job: Job, forecast: Forecast) -> Forecast:
    """Adds the headroom to the forecast, if `optimize.headroom` is set.

    That takes LM calls of the optimization's budget, `SHARE` of those that the search
    takes at most; where that is too few, the headroom stays unknown. Answers are kept,
    so that the search does not pay for the start's again.

    Raises:
        PoOptimizerError: The LM stayed unreachable, the metric gave no score.
    """
    if not job.params.headroom:
        return forecast
    bound = int(SHARE * (forecast.task.upper + forecast.prompt.upper))
    candidates, examples = _design(job, forecast, bound)
    if candidates < _FEWEST_CANDIDATES:
        return forecast
    identity, control = optimization_id(run_fingerprint(job)), Control(*job.lms)
    budget = Budget(job.params.budget, job.lms, identity)
    tried = replace(
        job,
        valset=job.valset[:examples],
        metric=GuardedMetric(job.metric, control.check, control.stop),
    )
    try:
        with (
            quiet_dspy(),
            use_lm(job.task_lm, stage="headroom", optimization_id=identity),
            control.guarded(budget.check),
            orderly_interrupt(control.stop),
            control.raising_stops(),
        ):
            start = _scores(tried, job.student)
            rows = [_scores(tried, program) for program in _candidates(job, candidates)]
    except BudgetReached as stop:
        logger.info("headroom: %s", stop)
        return forecast
    except StopRun as stop:
        raise stop.as_error() from stop
    headroom = expected_gain(
        np.array([start, *rows]), forecast.trials - 1, len(job.valset), job.params.seed
    )
    of_start = examples * (forecast.per_run.least if forecast.per_run else 1)
    calls = max(0, budget.spent(stage="headroom").paid - of_start)
    return forecast.model_copy(
        update={"headroom": headroom.model_copy(update={"calls": calls})}
    )


def expected_gain(
    scores: Values, num_candidates: int, num_examples: int, seed: int
) -> Headroom:
    """Estimates the gain of the best of many candidates from the scores of a few.

    The true effects of candidates are assumed normal. Their mean and spread follow from
    the scores: the spread of the candidates' means, less what chance adds on so few
    examples. The search chooses on its valset and keeps the start if that seems best.

    Args:
        scores: A row a program, the start first; a column an example; in [0, 1].
        num_candidates: That the search will try.
        num_examples: Of the valset that it chooses on.
        seed: Of the draws.
    """
    differences = scores[1:] - scores[0]
    k, n = differences.shape
    means, shared = differences.mean(axis=1), differences.mean(axis=0)
    overall = float(means.mean())
    apart = differences - means[:, None] - shared + overall
    noise = _variance(apart, (k - 1) * (n - 1))
    of_examples = _variance(shared - overall, n - 1)
    mean, spread = np.meshgrid(np.linspace(-0.6, 0.6, 121), np.linspace(0.0, 0.5, 51))
    of_means = spread**2 + noise / n
    likelihood = -((mean / _SPREAD) ** 2 + (spread / _SPREAD) ** 2) / 2
    of_overall = of_examples / n + of_means / k
    likelihood -= np.log(of_overall) / 2 + (overall - mean) ** 2 / (2 * of_overall)
    squares = float(((means - overall) ** 2).sum())
    likelihood -= (k - 1) * np.log(of_means) / 2 + squares / (2 * of_means)
    weights = np.exp(likelihood - likelihood.max()).ravel()
    rng = np.random.default_rng(seed)
    drawn = rng.choice(weights.size, _DRAWS, p=weights / weights.sum())
    start = float(scores[0].mean())
    effects = rng.normal(
        mean.ravel()[drawn, None],
        spread.ravel()[drawn, None],
        (_DRAWS, max(1, num_candidates)),
    ).clip(-start, 1.0 - start)
    seen = effects + rng.normal(0.0, np.sqrt(noise / num_examples), effects.shape)
    place = seen.argmax(axis=1)[:, None]
    chosen = np.take_along_axis(effects, place, axis=1)
    gains = np.where(np.take_along_axis(seen, place, axis=1) > 0.0, chosen, 0.0)
    low, high = np.quantile(gains, _INTERVAL)
    return Headroom(
        gain=float(gains.mean()),
        low=float(low),
        high=float(high),
        probability_none=float((effects.max(axis=1) < WORTH).mean()),
        candidates=k,
        examples=n,
    )


def _variance(deviations: Values, freedom: int) -> float:
    """The variance, with a prior, because a few equal scores prove little."""
    squares = float((deviations**2).sum())
    return (squares + _WEIGHT * _SPREAD**2) / (freedom + _WEIGHT)


def _design(job: Job, forecast: Forecast, bound: int) -> tuple[int, int]:
    """Numbers of candidates and examples within the bound of calls; (0, 0): too few."""
    predictors, valset = len(job.student.predictors()), len(job.valset)
    writes = make_optimizer(job.params).proposes
    per_run = forecast.per_run.most if forecast.per_run else predictors
    for candidates in range(_CANDIDATES, _FEWEST_CANDIDATES - 1, -1):
        written = (candidates + 1) // 2 * predictors if writes else 0
        examples = int((bound - written) / ((candidates + 1) * max(1, per_run)))
        if examples >= min(_FEWEST_EXAMPLES, valset):
            return candidates, min(examples, valset)
    return 0, 0


def _candidates(job: Job, count: int) -> list[dspy.Module]:
    """Makes candidates: with other instructions, with other demos, or with both."""
    rng = np.random.default_rng(job.params.seed)
    optimizer = make_optimizer(job.params)
    most = optimizer.max_demos()
    advice, programs = cycle(_ADVICE), []
    for number in range(count):
        program = job.student.deepcopy()
        rewrites = optimizer.proposes and number % 2 == 0
        demos = most and (not rewrites or number % 4 == 0)
        for predictor in program.predictors():
            if rewrites:
                _rewrite(predictor, next(advice), job)
            if demos:
                size = min(len(job.trainset), 1 + number % most)
                chosen = rng.choice(len(job.trainset), size, replace=False)
                predictor.demos = [job.trainset[place] for place in chosen]
        programs.append(program)
    return programs


def _rewrite(predictor: dspy.Predict, advice: str, job: Job) -> None:
    """Replaces the instructions, unless the prompt LM writes nothing readable."""
    signature = predictor.signature
    names = ", ".join(signature.input_fields), ", ".join(signature.output_fields)
    with dspy.context(lm=job.prompt_lm), contextlib.suppress(AdapterParseError):
        written = dspy.Predict(RewriteInstructions)(
            current_instructions=signature.instructions,
            step=" -> ".join(names),
            advice=advice,
        )
        predictor.signature = signature.with_instructions(written.new_instruction)


def _scores(job: Job, program: dspy.Module) -> list[float]:
    scores = (score for _, _, score in job.evaluate(program))
    return [float(score) for score in scores]
