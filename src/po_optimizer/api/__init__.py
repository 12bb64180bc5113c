"""`optimize` and `evaluate`, from Python; the Kedro stages call the same steps."""

from po_optimizer.api.optimized import Optimized, optimize
from po_optimizer.api.verdict import Verdict, evaluate

__all__ = ["Optimized", "Verdict", "evaluate", "optimize"]
