"""`kedro run`, whose errors are sentences."""

from po_optimizer.cli import cli, run  # noqa: F401
