"""The sweep: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.sweep.pipeline import create_pipeline

__all__ = ["create_pipeline"]
