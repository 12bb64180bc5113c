"""A result in a sentence: what changed, and whether it is proven."""

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


def headline(report: ScoreReport, promotion: Promotion) -> str:
    """The decision in a few words."""
    stays = NAMES[promotion.evidence.against]
    undecided = promotion.measured not in ("promote", "below_target")
    few = promotion.evidence.coverage == 1.0 and least_examples(report) is not None
    if promotion.override is not None:
        who = promotion.override.by
        return (
            f"{_HEADLINES[promotion.decision].format(stays=stays)} (decided by {who})"
        )
    if undecided and few:
        return f"Too few examples to tell: {stays} stays"
    return _HEADLINES[promotion.decision].format(stays=stays)
