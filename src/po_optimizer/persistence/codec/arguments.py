"""What a program's constructor was called with, as far as that is known.

The role knows it, or the caller of `save_program`. Nobody else can tell: what the
instance holds may have changed since.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import dspy

from po_optimizer.persistence.codec.imports import Imports
from po_optimizer.persistence.codec.values import Decoder, Encoder, Node


def encode_arguments(program: Any, given: Mapping[str, Any] | None) -> Node:
    """The arguments by name, and the names of those that nobody knows."""
    unknown = [] if given is not None else _of_constructor(program)
    encoder = Encoder(rescue=True)  # what is no data is the donor's to give
    values = {
        name: encoder.encode_member(name, value, f"constructor argument {name}")
        for name, value in (given or {}).items()
    }
    return {"known": values, "unknown": unknown, "types": encoder.types}


def decode_arguments(imports: Imports, node: Node) -> dict[str, Any] | None:
    """The arguments; None if one of them is unknown or no data."""
    if node["unknown"]:
        return None
    decoder = Decoder(imports, node["types"])
    arguments = {str(k): decoder.decode(v) for k, v in node["known"].items()}
    return None if decoder.missing else arguments


def _of_constructor(program: Any) -> list[str]:
    """The parameters of a constructor; an attribute may have changed since it ran."""
    kind = type(program)
    if kind.__module__.split(".")[0] == "dspy" or kind.__init__ is dspy.Module.__init__:
        return []
    return list(inspect.signature(kind.__init__).parameters)[1:]
