"""What the metric can tell apart: see `pipeline.create_pipeline`."""

from po_optimizer.pipelines.metric_report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
