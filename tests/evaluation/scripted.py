"""Records and reports made from plain numbers, for the tests of this folder."""

from collections.abc import Sequence
from typing import Any

from po_optimizer.evaluation.paired_scores import score_pairs
from po_optimizer.evaluation.predictions import PredictionRecord, Which
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.params.evaluate import PromotionParams

QUICK = PromotionParams(num_resamples=1000)


def record(index: int, score: float | None, **fields: Any) -> PredictionRecord:
    """One record; score None makes it unscored."""
    made: dict[str, Any] = {
        "index": index,
        "example_id": f"E{index}",
        "which": "baseline",
        "status": "unscored" if score is None else "ok",
        "score": score,
        "rubric": score,
        "components": {} if score is None else {"schema": score},
        "strata": {"tier": "simple" if index % 2 else "medium"},
        "inputs": {"question": f"question {index}"},
        "outputs": {"answer": f"answer {index}"},
    }
    return PredictionRecord.model_validate({**made, **fields})


def records(scores: Sequence[float | None], which: Which) -> list[PredictionRecord]:
    """One record a score."""
    return [record(i, score, which=which) for i, score in enumerate(scores)]


def report(
    baseline: Sequence[float | None],
    optimized: Sequence[float | None],
    params: PromotionParams = QUICK,
    **context: Any,
) -> ScoreReport:
    """The score report of two lists of scores."""
    return score_pairs(
        records(baseline, "baseline"),
        records(optimized, "optimized"),
        params,
        **context,
    )
