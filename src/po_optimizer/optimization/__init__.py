"""Run control: preflight, forecast, budget, journal, resume, and the optimizers."""

from po_optimizer.lms.check import Check
from po_optimizer.optimization.forecast import Forecast, forecast
from po_optimizer.optimization.headroom import with_headroom
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.journal import Trial, read_journal
from po_optimizer.optimization.preflight import PreflightReport, preflight
from po_optimizer.optimization.report import (
    OptimizationReport,
    OptimizationResult,
    log_event,
)
from po_optimizer.optimization.run import optimize

__all__ = [
    "Check",
    "Forecast",
    "Job",
    "OptimizationReport",
    "OptimizationResult",
    "PreflightReport",
    "Trial",
    "forecast",
    "log_event",
    "optimize",
    "preflight",
    "read_journal",
    "with_headroom",
]
