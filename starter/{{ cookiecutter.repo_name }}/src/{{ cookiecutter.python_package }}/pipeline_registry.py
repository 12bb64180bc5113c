"""The project's pipelines."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

from po_optimizer.pipeline_registry import register_pipelines as optimizing_pipelines


def register_pipelines() -> dict[str, Pipeline]:
    """Those of po_optimizer, beside those that `kedro pipeline create` adds here."""
    return {**find_pipelines(), **optimizing_pipelines()}
