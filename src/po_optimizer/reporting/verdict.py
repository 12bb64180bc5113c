"""A result in sentences: what came out, whether it is proven, what to do next."""

from po_optimizer.evaluation.promotion import Promotion
from po_optimizer.evaluation.reasons import NAMES, least_examples
from po_optimizer.evaluation.score_report import ScoreReport

_HEADLINES = {
    "promote": "Better, and proven: the optimized program is promoted",
    "keep_baseline": "Not better: the baseline stays",
    "keep_champion": "Not better: the promoted program stays",
    "below_target": "Better, but below the target: {stays} stays",
    "inconclusive": "Not proven: {stays} stays",
}
_NEXT = {
    "promote": "Use it. In a project integrate and predict run it from now on, and "
    "`po-optimizer runs demote` takes it back. In Python `save_program` stores it.",
    "below_target": "Read below where points are still lost. Improve records or "
    "program and optimize again, or lower the target if this is good enough.",
    "inconclusive": "Measure on more examples: add records (in a project "
    "data_prep.sizes.test may be raised).",
}
_KEPT = (
    "Read the examples that got worse, then try a longer search, another optimizer "
    "or better records."
)


def headline(report: ScoreReport, promotion: Promotion) -> str:
    """The decision in a few words."""
    stays = NAMES[promotion.evidence.against]
    result = _HEADLINES[promotion.decision].format(stays=stays)
    if promotion.override is not None:
        return f"{result} (decided by {promotion.override.by})"
    if not _is_proven(promotion) and _has_too_few(report, promotion):
        return f"Too few examples to tell: {stays} stays"
    return result


def finding(report: ScoreReport, promotion: Promotion) -> str:
    """Both scores, their difference and whether that is proven, in plain words."""
    uplift, against = report.challenge.score, promotion.evidence.against
    if uplift.mean is None:
        return "No example was scored for both programs."
    span = uplift.interval
    interval = (
        f" ({report.confidence:.0%} interval {span.low:+.3f} to {span.high:+.3f})"
        if span
        else ""
    )
    certainty = "This is proven" if _is_proven(promotion) else "This may be chance"
    examples = "1 example" if uplift.n == 1 else f"{uplift.n} examples"
    return (
        f"On {examples} that the optimizer never saw, the optimized program scores "
        f"{report.optimized.score.mean:.3f} and {NAMES[against]} "
        f"{report.incumbent.score.mean:.3f}: {uplift.mean:+.3f}{interval}. {certainty}."
    )


def next_step(report: ScoreReport, promotion: Promotion) -> str:
    """What a team does with this result."""
    if not _is_proven(promotion) and _has_too_few(report, promotion):
        return _NEXT["inconclusive"]
    return _NEXT.get(promotion.decision, _KEPT)


def _is_proven(promotion: Promotion) -> bool:
    return promotion.measured in ("promote", "below_target")


def _has_too_few(report: ScoreReport, promotion: Promotion) -> bool:
    whole = promotion.evidence.coverage == 1.0
    return whole and least_examples(report) is not None
