"""What follows from a score report: promotion, and bounds for CI."""

from typing import Literal

from po_optimizer.errors import BelowBoundError
from po_optimizer.evaluation.reasons import (
    Decision,
    Evidence,
    objections,
    proof,
    remarks,
)
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.params.base import Result
from po_optimizer.params.evaluate import (
    FailAbove,
    FailBelow,
    PromotionOverride,
    PromotionParams,
)


class Promotion(Result):
    """What `promotion.json` holds.

    Attributes:
        decision: What holds: the measured decision, or the override's.
        measured: What the measurement alone says.
        reasons: Why, one sentence each, the deciding ones first.
        override: A decision by hand with its reason; None: there was none.
        program: Fingerprint of the program that was judged, per predictor; a
            promotion says nothing of another one. None if it is not known.
    """

    format_version: Literal[1] = 1
    decision: Decision
    measured: Decision
    reasons: list[str]
    evidence: Evidence
    override: PromotionOverride | None = None
    program: dict[str, str] | None = None


def decide(report: ScoreReport, params: PromotionParams) -> Promotion:
    """`promote` only if every condition holds; each that does not gives a reason.

    Conditions: every example scored for both programs; the uplift over
    the promoted program, or over the baseline where there is none, proven (no
    condition `unmet`); the rubric's mean at least `target_rubric`, if the metric has
    a rubric.

    Returns:
        `inconclusive` if the measurement cannot tell, `keep_baseline` or
        `keep_champion` if it says no,
        `below_target` if the program is better but not good enough.
    """
    evidence = Evidence.of(report)
    against = list(objections(report, evidence))
    measured: Decision = against[0][0] if against else "promote"
    sentences = [sentence for _, sentence in against]
    if measured in {"promote", "below_target"}:
        sentences += proof(report, evidence)
    override = params.override
    if override is not None:
        by_hand = f"{override.decision} by hand of {override.by}: {override.reason}"
        sentences = [by_hand, f"The measurement alone says {measured}.", *sentences]
    return Promotion(
        decision=override.decision if override else measured,
        measured=measured,
        reasons=[*sentences, *remarks(report)],
        evidence=evidence,
        override=override,
    )


_NONE_ABOVE = FailAbove()


def check_fail_below(
    report: ScoreReport, fail_below: FailBelow, fail_above: FailAbove = _NONE_ABOVE
) -> None:
    """Lets a report pass that meets every bound; null bounds are no bounds.

    A mean over part of the testset meets none: with any bound the coverage must reach
    its own.

    Raises:
        BelowBoundError: A bound is not met, or what it bounds was not measured.
    """
    program = report.optimized
    call = program.usage.per_call() if program.usage else None
    measured = {
        "coverage": min(report.baseline.coverage, program.coverage),
        "rubric": program.rubric.mean if program.rubric else None,
        "uplift": report.uplift.score.mean,
        "tokens_per_call": call.tokens if call else None,
        "p95_seconds": program.p95_seconds,
    }
    below = fail_below.model_dump(exclude_none=True)
    above = fail_above.model_dump(exclude_none=True)
    if {*below, *above} == {"coverage"}:
        return
    for name, bound in {**below, **above}.items():
        value = measured[name]
        met = value is not None and (
            value >= bound if name in below else value <= bound
        )
        if not met:
            group = "fail_below" if name in below else "fail_above"
            result = (
                "was not measured (nothing was scored, or every answer was cached)"
                if value is None
                else f"is {value:.4f}"
            )
            raise BelowBoundError(
                f"evaluate.{group}.{name}={bound:g} is not met: the {name} on the "
                f"testset {result}. The report is written; relax the bound or improve "
                "the program."
            )
