"""Nodes of persist: release the candidate with its provenance."""

from typing import Any

import dspy

from po_optimizer.optimization.report import OptimizationReport
from po_optimizer.params.project import RoleParams
from po_optimizer.persistence import attach_provenance


def release_program(
    candidate_program: dspy.Module,
    optimization_report: dict[str, Any],
    data_report: dict[str, Any],
    role: RoleParams,
) -> dspy.Module:
    """The candidate with how it came about; its dataset stores and verifies it."""
    report = OptimizationReport.model_validate(optimization_report)
    provenance = report.provenance(
        data_hash=data_report["data_hash"],
        splits={name: split["n"] for name, split in data_report["splits"].items()},
        metric=role.metric,
        metric_args=dict(role.metric_args),
    )
    return attach_provenance(candidate_program, provenance)
