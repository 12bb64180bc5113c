"""Nodes of the sweep: one session for each configuration."""

from typing import Any

from kedro.framework.context import KedroContext

from po_optimizer.errors import needs_extra
from po_optimizer.params.project import SweepParams


def run_configurations(sweep: SweepParams, context: KedroContext) -> dict[str, Any]:
    """Optimizes, stores and evaluates every configuration; what came of them.

    Raises:
        PoOptimizerError: Without the extra `dask`; or as `run_sweep`.
    """
    with needs_extra("dask", "a sweep"):
        from po_optimizer.sweep.run import run_sweep  # noqa: PLC0415 -- an extra
    return run_sweep(sweep, context)
