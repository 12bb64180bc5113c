"""Measurement: scoring with coverage, paired statistics, promotion, figures, report."""

from po_optimizer.evaluation.bounds import check_fail_below
from po_optimizer.evaluation.checkup import (
    MetricReport,
    metric_figure,
    metric_report,
)
from po_optimizer.evaluation.comparison import (
    QUOTED_SECONDS,
    Comparison,
    Duration,
    Row,
    compare_lms,
    comparison_figure,
    comparison_table,
    price_figure,
)
from po_optimizer.evaluation.leaderboard import (
    Finished,
    Leaderboard,
    leaderboard_figure,
    rank,
)
from po_optimizer.evaluation.promotion import Promotion, decide
from po_optimizer.evaluation.prompt_diff import prompt_diff_html
from po_optimizer.evaluation.records import PredictionRecord, Predictions
from po_optimizer.evaluation.report import (
    comparison_page,
    render_report,
    report_figures,
)
from po_optimizer.evaluation.score_report import (
    Origin,
    ScoreReport,
    Selection,
    Usage,
    compare,
)
from po_optimizer.evaluation.scoring import predict_all, score_references
from po_optimizer.evaluation.wear import JudgedPrograms, Judgement

__all__ = [
    "QUOTED_SECONDS",
    "Comparison",
    "Duration",
    "Finished",
    "JudgedPrograms",
    "Judgement",
    "Leaderboard",
    "MetricReport",
    "Origin",
    "PredictionRecord",
    "Predictions",
    "Promotion",
    "Row",
    "ScoreReport",
    "Selection",
    "Usage",
    "check_fail_below",
    "compare",
    "compare_lms",
    "comparison_figure",
    "comparison_page",
    "comparison_table",
    "decide",
    "leaderboard_figure",
    "metric_figure",
    "metric_report",
    "predict_all",
    "price_figure",
    "prompt_diff_html",
    "rank",
    "render_report",
    "report_figures",
    "score_references",
]
