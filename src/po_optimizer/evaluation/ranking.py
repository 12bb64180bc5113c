"""The programs of several runs by their testset scores, and which of them differ.

The best of M equally good programs looks better than it is. So two programs are called
different only by a test of all pairs together, and the points that the best of M equal
programs gains by chance are shown beside it. Only runs on the same testset
with the same metric are ranked.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from po_optimizer.evaluation.estimates import Estimate, answers_to_pay
from po_optimizer.evaluation.reasons import Decision
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.evaluation.sign_flips import noise_floor, pairwise_tests
from po_optimizer.evaluation.statistics import value_range
from po_optimizer.lms.usage import MeanUsage, Usage
from po_optimizer.params.base import Result
from po_optimizer.params.evaluate import PromotionParams


class FinishedRun(Result):
    """A finished run: an LM's own, one of a sweep, or of a program of another LM.

    Attributes:
        name: Its folder, as `<lm>`, `<lm>/sweep/<configuration>`.
        lm: Folder of the LM that ran both programs.
        program_of: Folder of the LM that the program was optimized on, if another.
        scores: The optimized program's objective on each testset example, in the
            testset's order; None: unscored. Empty: no longer there.
        groups: Of each example; None: it stands alone. Empty: all do.
        decision: Of the promotion; None: not decided.
        search: Its optimization report; None for another LM's program.
        usage: What its LM's calls took, by stage, over all runs of this LM.
    """

    name: str
    lm: str
    program_of: str | None = None
    report: ScoreReport
    scores: list[float | None] = Field(default_factory=list)
    groups: list[str | None] = Field(default_factory=list)
    decision: Decision | None = None
    search: dict[str, Any] | None = None
    usage: dict[str, Usage] = Field(default_factory=dict)

    def per_call(self, *stages: str) -> MeanUsage | None:
        """What a call took in the first of these stages that has paid ones."""
        means = (self.usage[name].per_call() for name in stages if name in self.usage)
        return next(filter(None, means), None)

    @property
    def n_calls(self) -> float:
        """LM calls of one example: as counted at the evaluation, else a predictor's."""
        program = self.report.optimized
        counted = program.usage.calls if program.usage else 0
        if counted:
            return counted / (program.n_examples * program.n_repeats)
        return len(self.search["instructions"]) if self.search else 1

    @property
    def measured_with(self) -> tuple[str, str] | None:
        """Testset and metric; None: not known, or the scores are of another report."""
        origin, mean = self.report.origin, self.report.optimized.score.mean
        scored = [score for score in self.scores if score is not None]
        if origin is None or mean is None or not scored:
            return None
        same = abs(float(np.mean(scored)) - mean) < _SAME_MEAN
        return (origin.testset, origin.metric) if same else None


_SAME_MEAN = 1e-6


class RankedRun(Result):
    """One run; scores are testset means in [0, 1], higher is better.

    Attributes:
        optimizer: And its seed; None for another LM's program.
        valset_best: What the optimizer saw of the program that it chose.
        uplift: Paired, in [-1, 1].
        behind: The best run's objective minus this one's, paired; None: the best, or
            not ranked.
        p_behind: That of no difference, by a test of all pairs of runs together.
        ranked: Measured on the same testset and metric as most runs.
        tied: True unless `p_behind` is at most alpha and the difference is worth
            more than three answers lost whole.
        seconds_per_example: Of the optimized program's paid calls; None: all cached.
        tokens_per_example: Prompt and completion; None: not reported.
        cost_per_1000: US dollars for 1,000 examples; None: unknown, which is not 0.
        search: What its optimization took, over all restarts.
        search_seconds: Wall time of its optimization.
    """

    name: str
    lm: str
    program_of: str | None
    optimizer: str | None
    seed: int | None
    valset_best: float | None
    baseline: Estimate
    optimized: Estimate
    baseline_rubric: Estimate | None
    rubric: Estimate | None
    uplift: Estimate
    decision: Decision | None
    behind: Estimate | None = None
    p_behind: float | None = None
    ranked: bool = False
    tied: bool = False
    seconds_per_example: float | None
    tokens_per_example: float | None
    cost_per_1000: float | None
    search: Usage | None
    search_seconds: float | None


class Ranking(Result):
    """The runs, the ranked ones first and best first, and what may be said of them.

    Attributes:
        confidence: Of every interval, and of all that are called different together.
        noise_floor: Points that the best of so many equally good programs seems to
            gain on this testset; None: unknown.
        winner: The best ranked run that may be promoted; None: no uplift is proven.
        sentences: The result in words.
    """

    format_version: Literal[1] = 1
    confidence: float
    noise_floor: float | None
    runs: list[RankedRun]
    winner: str | None
    sentences: list[str]


def rank(runs: Sequence[FinishedRun]) -> Ranking:
    """The runs by the optimized program's objective, as far as they may be compared.

    Args:
        runs: At least one.
    """
    standards = Counter(run.measured_with for run in runs if run.measured_with)
    common = standards.most_common(1)[0][0] if standards else None
    same = [run for run in runs if common and run.measured_with == common]
    same.sort(key=lambda run: -(run.report.optimized.score.mean or 0.0))
    apart = [run for run in runs if run not in same]
    ranked = [
        _row(run).model_copy(update=place)
        for run, place in zip(same, _places(same), strict=True)
    ]
    others = [_row(run) for run in apart]
    promoted = [run.name for run in ranked if run.decision == "promote"]
    floor = _noise_floor(same)
    return Ranking(
        confidence=(same or apart)[0].report.confidence,
        noise_floor=floor,
        runs=[*ranked, *others],
        winner=promoted[0] if promoted else None,
        sentences=_sentences(ranked, others, promoted, floor),
    )


def _places(ordered: Sequence[FinishedRun]) -> list[dict[str, Any]]:
    """How far each run is behind the first; the examples of a group count as one."""
    if not ordered:
        return []
    import pandas as pd  # noqa: PLC0415 -- half a second, at the start of every run

    best = ordered[0].report
    scores = pd.DataFrame([run.scores for run in ordered], dtype=float).T
    labels = ordered[0].groups or [None] * len(scores)
    groups = np.array([label or f"alone {n}" for n, label in enumerate(labels)])
    scored = scores.dropna()
    sums = scored.groupby(groups[scored.index]).sum().to_numpy()
    params = PromotionParams(num_resamples=best.num_resamples, seed=best.seed)
    tests = pairwise_tests(sums, params)[0]
    alpha = round(1.0 - best.confidence, 12)
    losses = answers_to_pay(alpha) * max(0.0, best.optimized.score.mean or 0.0)
    places: list[dict[str, Any]] = [{"ranked": True}]
    for column in range(1, len(ordered)):
        differences = (scores[0] - scores[column]).dropna()
        behind, p = value_range(differences.tolist()), float(tests[column])
        n_independent = len(set(groups[differences.index]))
        differs = p <= alpha and n_independent * (behind.mean or 0.0) > losses
        place = {"behind": behind, "p_behind": p, "ranked": True, "tied": not differs}
        places.append(place)
    return places


def _noise_floor(ordered: Sequence[FinishedRun]) -> float | None:
    if not ordered:
        return None
    uplift = ordered[0].report.uplift.score
    sd = uplift.sd if uplift.n_groups is None else uplift.sd_groups
    return None if sd is None else noise_floor(len(ordered), uplift.n_independent, sd)


def _row(run: FinishedRun) -> RankedRun:
    report, search = run.report, run.search
    # a baseline that stayed the best is answered from the cache the second time
    call = run.per_call("evaluate optimized", "evaluate baseline")

    def per_example(of_a_call: float | None) -> float | None:
        return None if of_a_call is None else run.n_calls * of_a_call

    cost = per_example(call.cost_usd) if call else None
    seconds = report.optimized.seconds_per_example
    return RankedRun(
        name=run.name,
        lm=run.lm,
        program_of=run.program_of,
        optimizer=search["optimizer"] if search else None,
        seed=search["seed"] if search else None,
        valset_best=search["best"]["score"] if search else None,
        baseline=report.baseline.score,
        optimized=report.optimized.score,
        baseline_rubric=report.baseline.rubric,
        rubric=report.optimized.rubric,
        uplift=report.uplift.score,
        decision=run.decision,
        seconds_per_example=seconds or (per_example(call.seconds) if call else None),
        tokens_per_example=per_example(call.tokens) if call else None,
        cost_per_1000=None if cost is None else 1000 * cost,
        search=Usage.model_validate(search["spent"]) if search else None,
        search_seconds=search["seconds"] if search else None,
    )


def _sentences(
    ranked: Sequence[RankedRun],
    others: Sequence[RankedRun],
    promoted: Sequence[str],
    floor: float | None,
) -> list[str]:
    sentences = []
    if ranked:
        best, tied = ranked[0], [run.name for run in ranked if run.tied]
        proof = (
            f"{promoted[0]} may be promoted."
            if promoted
            else "No program's uplift over its baseline is proven."
        )
        sentences = [
            f"Highest score: {best.name} with {best.optimized.mean:.3f} "
            f"(n={best.optimized.n}). {proof}"
        ]
        if tied:
            sentences.append(f"{best.name} cannot be told from {', '.join(tied)}.")
        if floor is not None and len(ranked) > 1:
            sentences.append(
                f"Of {len(ranked)} equally good programs the best would seem "
                f"{floor:.3f} better on these n={best.optimized.n} examples."
            )
    if others:
        sentences.append(
            "Not ranked, because testset and metric are others, or were not recorded "
            f"with the predictions: {', '.join(run.name for run in others)}. Evaluate "
            "again with the same data_prep and role to compare."
        )
    return sentences
