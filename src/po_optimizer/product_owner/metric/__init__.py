"""The metric: a score in [0, 1] with named components and feedback."""

from po_optimizer.product_owner.metric.objective import (
    product_owner_metric,
    score_outputs,
)

__all__ = ["product_owner_metric", "score_outputs"]
