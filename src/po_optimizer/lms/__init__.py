"""LMs: a metered dspy.LM from a configuration, its ledger, cache and server."""

from typing import TYPE_CHECKING

from po_optimizer.lazy import lazy

if TYPE_CHECKING:
    from po_optimizer.lms.build import lm_slug, make_lm
    from po_optimizer.lms.embedded.server import stop_servers
    from po_optimizer.lms.engine import MeteredEngine
    from po_optimizer.lms.interrupt import orderly_interrupt, stop_lms_in_use
    from po_optimizer.lms.ledger import CallRow, Ledger
    from po_optimizer.lms.lm import MeteredLM, use_lm
    from po_optimizer.lms.meter import CallScope, Meter
    from po_optimizer.lms.stops import (
        Interrupted,
        LMNotReady,
        LMUnreachable,
        StopRun,
        WriteFailed,
        force_exit,
        stop_requested,
    )
    from po_optimizer.lms.usage import MeanUsage, Usage

__all__ = [
    "CallRow",
    "CallScope",
    "Interrupted",
    "LMNotReady",
    "LMUnreachable",
    "Ledger",
    "MeanUsage",
    "Meter",
    "MeteredEngine",
    "MeteredLM",
    "StopRun",
    "Usage",
    "WriteFailed",
    "force_exit",
    "lm_slug",
    "make_lm",
    "orderly_interrupt",
    "stop_lms_in_use",
    "stop_requested",
    "stop_servers",
    "use_lm",
]

__getattr__ = lazy(
    __name__,
    {
        "build": "lm_slug make_lm",
        "embedded.server": "stop_servers",
        "engine": "MeteredEngine",
        "interrupt": "orderly_interrupt stop_lms_in_use",
        "ledger": "CallRow Ledger",
        "lm": "MeteredLM use_lm",
        "meter": "CallScope Meter",
        "stops": "Interrupted LMNotReady LMUnreachable StopRun WriteFailed "
        "force_exit stop_requested",
        "usage": "MeanUsage Usage",
    },
)
