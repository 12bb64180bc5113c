"""The stage persist: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.persist.pipeline import create_pipeline

__all__ = ["create_pipeline"]
