"""What must hold before anything but a probe is paid for."""

from po_optimizer.optimization.preflight.run import LMCheck, PreflightReport, preflight

__all__ = ["LMCheck", "PreflightReport", "preflight"]
