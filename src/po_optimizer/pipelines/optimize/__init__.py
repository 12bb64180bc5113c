"""The stage optimize: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.optimize.pipeline import create_pipeline

__all__ = ["create_pipeline"]
