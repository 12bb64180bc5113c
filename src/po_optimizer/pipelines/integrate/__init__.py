"""The stage integrate: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.integrate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
