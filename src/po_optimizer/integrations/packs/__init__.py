"""A run that travels: sealed in one file, repeated elsewhere without an LM."""

from po_optimizer.integrations.packs.code import Code
from po_optimizer.integrations.packs.replay import Replayed, replay
from po_optimizer.integrations.packs.sealing import pack_run

__all__ = ["Code", "Replayed", "pack_run", "replay"]
