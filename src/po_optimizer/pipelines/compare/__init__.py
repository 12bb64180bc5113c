"""The ranking of runs: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.compare.pipeline import create_pipeline

__all__ = ["create_pipeline"]
