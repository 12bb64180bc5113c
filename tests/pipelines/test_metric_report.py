"""The metric's check-up as a stage: no LM is asked."""

from po_optimizer.params import DataPrepParams
from po_optimizer.pipelines.metric_report.nodes import check_metric, draw_metric
from tests.small_role import raw_record
from tests.test_small_role import ROLE


def test_metric_is_checked_on_references_and_spoiled_outputs():
    """References score 1.0, empty output 0.0; the figure shows every family."""
    records = [raw_record(n) for n in range(4)]
    report = check_metric(records, ROLE, DataPrepParams())
    means = {family["name"]: family["mean"] for family in report["families"]}
    assert means["references"] == 1.0
    assert means["empty output"] == 0.0
    assert draw_metric(report).data
