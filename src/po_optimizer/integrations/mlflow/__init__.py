"""Runs, scores, programs and traces in MLflow.

`with track(...)` around `optimize` and `evaluate` in Python; `tracking.mlflow` in a
project. MLflow's active run, if there is one, is left alone.
"""

from typing import Any

from po_optimizer.errors import needs_extra
from po_optimizer.lazy import lazy

_get = lazy(__name__, {"hooks": "TrackingHooks", "tracker": "Tracker track"})


def __getattr__(name: str) -> Any:
    """A name of this integration; without MLflow an error names the extra."""
    with needs_extra("mlflow", "tracking by MLflow"):
        return _get(name)
