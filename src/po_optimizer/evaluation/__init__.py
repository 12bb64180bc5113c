"""Numbers: predictions with coverage, statistics in pairs, the report, promotion."""

from typing import TYPE_CHECKING

from po_optimizer.lazy import lazy

if TYPE_CHECKING:
    from po_optimizer.evaluation.judge import judge_programs
    from po_optimizer.evaluation.metric_check import MetricReport, metric_report
    from po_optimizer.evaluation.paired_scores import score_pairs
    from po_optimizer.evaluation.predict import predict_all, score_references, unjudged
    from po_optimizer.evaluation.predictions import PredictionRecord, Predictions
    from po_optimizer.evaluation.promotion import (
        Champion,
        Promotion,
        check_fail_below,
        decide,
    )
    from po_optimizer.evaluation.score_report import (
        Origin,
        RunUsage,
        ScoreReport,
        Selection,
    )
    from po_optimizer.evaluation.wear import JudgedPrograms, Judgement

__all__ = [
    "Champion",
    "JudgedPrograms",
    "Judgement",
    "MetricReport",
    "Origin",
    "PredictionRecord",
    "Predictions",
    "Promotion",
    "RunUsage",
    "ScoreReport",
    "Selection",
    "check_fail_below",
    "decide",
    "judge_programs",
    "metric_report",
    "predict_all",
    "score_pairs",
    "score_references",
    "unjudged",
]

__getattr__ = lazy(
    __name__,
    {
        "judge": "judge_programs",
        "metric_check": "MetricReport metric_report",
        "paired_scores": "score_pairs",
        "predict": "predict_all score_references unjudged",
        "predictions": "PredictionRecord Predictions",
        "promotion": "Champion Promotion check_fail_below decide",
        "score_report": "Origin RunUsage ScoreReport Selection",
        "wear": "JudgedPrograms Judgement",
    },
)
