"""Run control: preflight, forecast, budget, journal, resume, and the optimizers."""

from po_optimizer.optimization.forecast import Forecast, forecast
from po_optimizer.optimization.journal import Trial, read_journal
from po_optimizer.optimization.progress import show_progress
from po_optimizer.optimization.report import OptimizationReport, OptimizationResult
from po_optimizer.optimization.run import optimize

__all__ = [
    "Forecast",
    "OptimizationReport",
    "OptimizationResult",
    "Trial",
    "forecast",
    "optimize",
    "read_journal",
    "show_progress",
]
