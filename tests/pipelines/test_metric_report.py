"""The metric's check-up as a stage: no LM is asked but by the metric."""

import dspy

from po_optimizer.params.project import DataPrepParams
from po_optimizer.pipelines.metric_report.nodes import check_metric
from tests.scripted import ScriptedEngine, fixed_fields, scripted_lm
from tests.small_role import raw_record
from tests.test_small_role import ROLE

RECORDS = [raw_record(n) for n in range(4)]
judge = dspy.LM("house/judge", engine=ScriptedEngine(fixed_fields(good=True)))


def judged(example, prediction, trace=None):
    """A judge with an LM of its own; without one, by the LM of the run."""
    with dspy.context(lm=judge):
        good = dspy.Predict("text -> good: bool")(text=str(prediction)).good
    dspy.Predict("text -> good: bool")(text=str(prediction))
    return float(good)


def test_metric_is_checked_on_references_and_spoiled_outputs(tmp_path):
    """References score 1.0, empty output 0.0; the figure shows every family."""
    lm = scripted_lm(fixed_fields(good=True), tmp_path)
    report, figure = check_metric(RECORDS, lm, ROLE, DataPrepParams())
    means = {family["name"]: family["mean"] for family in report["families"]}
    assert means["references"] == 1.0
    assert means["empty output"] == 0.0
    assert figure.data
    assert lm.meter.ledger.rows() == []


def test_judges_of_a_metric_are_metered(tmp_path):
    """Its own LM and that of the run: rows of this stage, under their names."""
    lm = scripted_lm(fixed_fields(good=True), tmp_path)
    role = ROLE.model_copy(
        update={"metric": "tests.pipelines.test_metric_report.judged"}
    )
    check_metric(RECORDS, lm, role, DataPrepParams())
    rows = [row for row in lm.meter.ledger.rows() if row.paid]
    assert {row.stage for row in rows} == {"metric_report"}
    names = [row.lm for row in rows]
    assert names.count("house-judge") == names.count("scripted") > 0
