"""The score report: two programs on one testset, paired, with what chance explains.

All scores, components and rubrics lie in [0, 1], higher is better; an uplift is
mean(optimized) - mean(baseline) over the pairs, in [-1, 1].
"""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from po_optimizer.evaluation.estimates import Estimate, Interval, Origin, PairedTest
from po_optimizer.evaluation.predictions import Which
from po_optimizer.evaluation.wear import Judgement
from po_optimizer.lms.usage import Usage
from po_optimizer.params.base import Result

if TYPE_CHECKING:
    from po_optimizer.lms.lm import MeteredLM


class RunUsage(Result):
    """What the LM calls of one run took, so that reports need no LM.

    Attributes:
        lm: Slug of the task LM.
        run: The run's name, its time of start.
        stages: Each stage's calls, in the order in which the stages began.
    """

    lm: str
    run: str
    stages: dict[str, Usage]

    @classmethod
    def of(cls, lm: "MeteredLM") -> "RunUsage":
        """What the ledger knows of the LM's run so far."""
        meter = lm.meter
        stages = meter.ledger.stages(meter.run_id)
        return cls(lm=lm.slug, run=meter.run_id.partition(" ")[0], stages=stages)


class Means(Result):
    """Means over the testset: of one program, or of the difference of two.

    Attributes:
        score: The objective.
        rubric: The rubric on its own; None if the metric has none.
        components: Each part of the metric.
        strata: The objective per stratum: field, then value.
    """

    score: Estimate
    rubric: Estimate | None
    components: dict[str, Estimate]
    strata: dict[str, dict[str, Estimate]]

    @property
    def every(self) -> dict[str, Estimate]:
        """Score, rubric and components by their names."""
        rubric = {} if self.rubric is None else {"rubric": self.rubric}
        return {"score": self.score, **rubric, **self.components}


class ProgramScore(Means):
    """One program on the testset.

    Attributes:
        n_failed: Answers that could not be used: 0.0 in every mean.
        n_unscored: Examples that the LM could not be asked about: in no mean.
        coverage: Share of the examples that were scored, in [0, 1].
        seconds_per_example: Over the answers that were not cached; None if all were.
        p95_seconds: Of 100 of these, 95 took at most so long.
        n_repeats: Answers to each example, at most; scores are their means.
        sd_repeats: SD of one answer's score around its example's mean: the LM's own;
            None if each example was asked once.
        usage: Of this program's calls; None if not given.
    """

    which: Which
    n_examples: int
    n_failed: int
    n_unscored: int
    coverage: float
    seconds_per_example: float | None = None
    p95_seconds: float | None = None
    n_repeats: int = 1
    sd_repeats: float | None = None
    usage: Usage | None = None


class Uplift(Means):
    """Paired differences optimized - baseline over examples scored for both.

    Attributes:
        seen: BCa interval of the differences at 1 - alpha, without what n examples
            cannot show; None: all are equal.
    """

    test: PairedTest
    n_better: int
    n_equal: int
    n_worse: int
    seen: Interval | None = None


class Selection(Result):
    """How the optimized program was chosen on the valset.

    Attributes:
        n_candidates: Different candidates that were scored on all of it, K.
        n_valset: Examples that each was scored on.
        n_tried: Different candidates that were scored on minibatches.
        n_minibatch: Examples of a minibatch; 0: there was none.
        baseline_score: The baseline's score there, in [0, 1].
        best_score: The chosen candidate's score there, in [0, 1].
    """

    n_candidates: int = Field(ge=1)
    n_valset: int = Field(ge=1)
    n_tried: int = 0
    n_minibatch: int = 0
    baseline_score: float | None = None
    best_score: float | None = None


class ScoreReport(Result):
    """What `score_report.json` holds.

    Attributes:
        target_rubric: What the rubric's mean is compared with.
        confidence: Of every interval, in (0.5, 1).
        num_compared: Programs of which one is picked on this testset.
        reference: The metric on the reference outputs: the ceiling, no program, so
            from the lowest to the highest value instead of an interval.
        noise_floor: Points that choosing the best of K equal candidates on the
            valset adds by chance; None if the selection is not known.
        champion: The program that was promoted before; None: none was, or it is this
            one (`is_champion`).
        over_champion: Paired differences optimized - champion.
        is_champion: Whether the optimized program is promoted already.
        origin: Testset and metric; None in reports of before it was recorded.
        judgement: The programs judged before on this testset, and what that leaves
            of alpha; None in reports of before it was recorded.
    """

    format_version: Literal[1] = 1
    target_rubric: float
    confidence: float
    num_compared: int = 1
    num_resamples: int
    seed: int
    baseline: ProgramScore
    optimized: ProgramScore
    uplift: Uplift
    champion: ProgramScore | None = None
    over_champion: Uplift | None = None
    is_champion: bool = False
    reference: ProgramScore | None = None
    selection: Selection | None = None
    noise_floor: float | None = None
    origin: Origin | None = None
    judgement: Judgement | None = None

    @property
    def programs(self) -> list[ProgramScore]:
        """Baseline and optimized, and the champion if there is one."""
        programs = [self.baseline, self.optimized, self.champion]
        return [program for program in programs if program is not None]

    @property
    def alpha(self) -> float:
        """The two-sided p-value that promotes at most, in (0, 0.5)."""
        spent = self.judgement
        return round(1.0 - self.confidence, 12) if spent is None else spent.alpha

    @property
    def incumbent(self) -> ProgramScore:
        """What must be beaten: the champion, unless the baseline is better than it."""
        if self.champion is None or self.over_champion is None:
            return self.baseline
        best = (self.champion.score.mean or 0.0) >= (self.baseline.score.mean or 0.0)
        return self.champion if best else self.baseline

    @property
    def challenge(self) -> Uplift:
        """The uplift over the incumbent, on which the decision rests."""
        over = self.over_champion
        return over if over and self.incumbent is self.champion else self.uplift
