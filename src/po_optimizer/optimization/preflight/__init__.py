"""What must hold before anything but a probe is paid for."""

from po_optimizer.optimization.preflight.run import PreflightReport, preflight

__all__ = ["PreflightReport", "preflight"]
