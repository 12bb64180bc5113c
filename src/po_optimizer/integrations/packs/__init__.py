"""A run that travels: sealed in one file, repeated elsewhere without an LM."""

from po_optimizer.integrations.packs.code import Code
from po_optimizer.integrations.packs.sealing import Replayed, pack_run, replay

__all__ = ["Code", "Replayed", "pack_run", "replay"]
