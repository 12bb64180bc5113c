"""The stage predict: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.predict.pipeline import create_choice, create_pipeline

__all__ = ["create_choice", "create_pipeline"]
