"""A Kedro runner that spreads a pipeline's nodes over a Dask cluster."""

from po_optimizer.runner.dask_runner import DaskRunner

__all__ = ["DaskRunner"]
