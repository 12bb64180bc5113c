"""The stage data_prep: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.data_prep.pipeline import create_pipeline

__all__ = ["create_pipeline"]
