"""Whether the optimized program replaces the baseline, with the reasons in words."""

from typing import Literal

from po_optimizer.errors import BelowBoundError
from po_optimizer.evaluation.records import Result
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.evaluation.statistics import (
    Estimate,
    PairedTest,
    examples_at_least,
    examples_needed,
)
from po_optimizer.params import FailBelow, PromotionOverride, PromotionParams

Decision = Literal["promote", "keep_baseline", "inconclusive"]


class Evidence(Result):
    """The numbers that the decision rests on."""

    uplift: float | None
    uplift_low: float | None
    uplift_high: float | None
    p_value: float
    n_pairs: int
    rubric: float | None
    target_rubric: float
    coverage: float
    n_failed_baseline: int
    n_failed_optimized: int


class Promotion(Result):
    """What `promotion.json` holds.

    Attributes:
        decision: What holds: the measured decision, or the override's.
        measured: What the measurement alone says.
        reasons: Why, one sentence each, the deciding ones first.
        override: Who decided otherwise and why; None if nobody did.
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

    Conditions: every example scored for both programs; the interval of the uplift
    above 0 and the paired test's p at most 1 - confidence; the rubric's mean at
    least `target_rubric` (if the metric has a rubric). The test stands beside the
    interval because a BCa interval of few examples is too narrow.

    Returns:
        `inconclusive` if the measurement cannot tell, `keep_baseline` if it says no.
    """
    evidence = _evidence(report)
    unsure = _doubts(report, evidence)
    against = _objections(report, evidence)
    measured: Decision = "promote"
    if evidence.coverage < 1.0 or evidence.n_pairs == 0:
        measured = "inconclusive"
    elif against:
        measured = "keep_baseline"
    elif unsure:
        measured = "inconclusive"
    reasons = [*against, *unsure] or _for(report, evidence)
    if measured == "inconclusive":
        reasons = [*unsure, *against]
    override = params.override
    if override is not None:
        by_hand = f"{override.decision} by hand of {override.by}: {override.reason}"
        reasons = [by_hand, f"The measurement alone says {measured}.", *reasons]
    return Promotion(
        decision=override.decision if override else measured,
        measured=measured,
        reasons=[*reasons, *_remarks(report)],
        evidence=evidence,
        override=override,
    )


def uplift_is_proven(uplift: Estimate, test: PairedTest, confidence: float) -> bool:
    """Whether the interval lies above 0 and the test's p is at most 1 - confidence.

    `benchmarks/promotion_power.py` measures this rule.
    """
    above = uplift.interval is not None and uplift.interval.low > 0.0
    return above and test.p_value <= _alpha(confidence)


def check_fail_below(report: ScoreReport, fail_below: FailBelow) -> None:
    """Lets a report pass that meets every bound; null bounds are no bounds.

    Raises:
        BelowBoundError: The rubric or the uplift is below its bound or unmeasured.
    """
    rubric = report.optimized.rubric
    measured = {
        "rubric": None if rubric is None else rubric.mean,
        "uplift": report.uplift.score.mean,
    }
    for name, value in measured.items():
        bound = getattr(fail_below, name)
        if bound is not None and (value is None or value < bound):
            raise BelowBoundError(f"evaluate.fail_below.{name}", bound, value)


def _evidence(report: ScoreReport) -> Evidence:
    uplift, rubric = report.uplift.score, report.optimized.rubric
    interval = uplift.interval
    return Evidence(
        uplift=uplift.mean,
        uplift_low=interval.low if interval else None,
        uplift_high=interval.high if interval else None,
        p_value=report.uplift.test.p_value,
        n_pairs=uplift.n,
        rubric=rubric.mean if rubric else None,
        target_rubric=report.target_rubric,
        coverage=min(report.baseline.coverage, report.optimized.coverage),
        n_failed_baseline=report.baseline.n_failed,
        n_failed_optimized=report.optimized.n_failed,
    )


def _objections(report: ScoreReport, evidence: Evidence) -> list[str]:
    found = []
    if evidence.uplift is not None and evidence.uplift <= 0.0:
        found.append(
            f"The optimized program is not better: uplift {_interval_text(report)}."
        )
    if evidence.rubric is not None and evidence.rubric < evidence.target_rubric:
        found.append(
            f"Its rubric of {evidence.rubric:.3f} (n={report.optimized.score.n}) is "
            f"below target_rubric={evidence.target_rubric:g}."
        )
    return found


def _doubts(report: ScoreReport, evidence: Evidence) -> list[str]:
    if evidence.n_pairs == 0:
        return ["No example was scored for both programs."]
    found = []
    if evidence.coverage < 1.0:
        missing = report.baseline.n_unscored + report.optimized.n_unscored
        found.append(
            f"Coverage is {evidence.coverage:.0%}: {missing} answers are unscored "
            "because the LM could not be asked. Run evaluate again."
        )
    score, test = report.uplift.score, report.uplift.test
    better = evidence.uplift is not None and evidence.uplift > 0.0
    if better and not uplift_is_proven(score, test, report.confidence):
        interval_fails = evidence.uplift_low is None or evidence.uplift_low <= 0.0
        why = (
            "its interval is not above 0"
            if interval_fails
            else f"the {test.method} test gives p={test.p_value:.3f}, above "
            f"{_alpha(report.confidence):g}"
        )
        found.append(
            f"The uplift {_interval_text(report)} may be chance: {why}."
            f"{_more_examples(report)}"
        )
    return found


def _for(report: ScoreReport, evidence: Evidence) -> list[str]:
    found = [
        f"The uplift {_interval_text(report)} lies above 0 "
        f"(p={evidence.p_value:.4f}, {report.uplift.test.method} test)."
    ]
    if evidence.rubric is not None:
        found.append(
            f"Its rubric of {evidence.rubric:.3f} reaches "
            f"target_rubric={evidence.target_rubric:g}."
        )
    found.append(f"All {evidence.n_pairs} examples were scored for both programs.")
    return found


def _remarks(report: ScoreReport) -> list[str]:
    found = []
    if report.optimized.rubric is None:
        found.append("The metric has no rubric, so target_rubric was not applied.")
    if report.optimized.n_failed > report.baseline.n_failed:
        found.append(
            f"It fails more often: {report.optimized.n_failed} unusable answers, the "
            f"baseline {report.baseline.n_failed}; each counts as 0.0."
        )
    if report.uplift.score.note:
        found.append(f"About the uplift: {report.uplift.score.note}.")
    return found


def _interval_text(report: ScoreReport) -> str:
    estimate = report.uplift.score
    if estimate.mean is None:
        return "not measured"
    text = f"{estimate.mean:+.3f} (n={estimate.n}"
    if estimate.interval is None:
        return f"{text}, no interval)"
    low, high = estimate.interval.low, estimate.interval.high
    return f"{text}, {report.confidence:.0%} interval {low:+.3f} to {high:+.3f})"


def _more_examples(report: ScoreReport) -> str:
    estimate = report.uplift.score
    if estimate.mean is None or not estimate.sd:
        return ""
    wanted = examples_needed(estimate.mean, estimate.sd, report.confidence)
    least = examples_at_least(report.confidence)
    if estimate.n < least:
        return f" The test cannot prove an uplift with less than {least} examples."
    if wanted is None or wanted <= estimate.n:
        return ""
    return f" An uplift of this size takes about {wanted} examples to show."


def _alpha(confidence: float) -> float:
    return round(1.0 - confidence, 12)
