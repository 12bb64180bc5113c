"""Runs, scores, programs and traces in MLflow.

`with track(...)` around `optimize` and `evaluate` in Python; `tracking.mlflow` in a
project. MLflow's active run, if there is one, is left alone.
"""

from typing import Any

from po_optimizer.errors import needs_extra


def __getattr__(name: str) -> Any:
    """A name of this integration; what it needs is told if it is missing."""
    with needs_extra("mlflow", "tracking by MLflow"):
        import mlflow  # noqa: F401, PLC0415
    if name == "TrackingHooks":
        from po_optimizer.integrations.mlflow.hooks import TrackingHooks  # noqa: PLC0415

        return TrackingHooks
    if name in ("Tracker", "track"):
        from po_optimizer.integrations.mlflow import tracker  # noqa: PLC0415

        return getattr(tracker, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
