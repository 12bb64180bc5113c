"""Kedro's settings: hooks, configuration and environments are po_optimizer's."""

from po_optimizer.settings import (  # noqa: F401
    CONFIG_LOADER_ARGS,
    CONFIG_LOADER_CLASS,
    HOOKS,
)
