"""The stage evaluate: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.evaluate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
