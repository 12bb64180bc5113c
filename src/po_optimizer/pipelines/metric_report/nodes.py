"""Nodes of metric_report: the metric on reference outputs and on spoiled ones."""

from logging import getLogger
from typing import Any

from po_optimizer.evaluation.metric_check import metric_report as check_up
from po_optimizer.lms.lm import MeteredLM, use_lm
from po_optimizer.lms.stops import StopRun
from po_optimizer.params.project import DataPrepParams, RoleParams
from po_optimizer.records.checking import to_examples
from po_optimizer.reporting.figures import metric_figure
from po_optimizer.roles.build import load_metric, make_program
from po_optimizer.roles.record import load_record_type

logger = getLogger(__name__)

Records = list[dict[str, Any]]


def check_metric(
    checked_records: Records,
    task_lm: MeteredLM,
    role: RoleParams,
    data_prep: DataPrepParams,
) -> tuple[dict[str, Any], Any]:
    """Scores of references, empty, shuffled, truncated and altered outputs; a figure.

    A metric that asks an LM finds the task LM, or asks its own; both are metered.
    """
    try:
        with use_lm(task_lm, stage="metric_report"):
            report = check_up(
                load_metric(role),
                to_examples(checked_records, load_record_type(role)),
                program=make_program(role),
                seed=data_prep.seed,
            )
    except StopRun as stop:
        raise stop.as_error() from stop
    if report.gamed_by:
        logger.warning(
            "metric_report: better scored than half of the reference, so that an "
            "optimizer may learn to write it: %s",
            ", ".join(report.gamed_by),
        )
    return report.model_dump(mode="json"), metric_figure(report)
