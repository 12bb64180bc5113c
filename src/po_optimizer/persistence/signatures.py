"""Signatures by value: name, instructions and ordered fields.

Always by value, never by import: a signature is what the optimizer rewrites, and an
import would give back the one in the code.
"""

from typing import Any

import dspy
from pydantic import create_model

from po_optimizer.persistence.fields import decode_field, encode_field
from po_optimizer.persistence.values import Decoder, Encoder, decodes, encodes

Node = dict[str, Any]


@encodes("dspy.signatures.signature.SignatureMeta")
def encode_signature(encoder: Encoder, signature: Any, where: str) -> Node:
    """A signature class as data."""
    with encoder.strictness(strict=True):
        fields = [
            encode_field(encoder, name, field, f"{where}.{name}")
            for name, field in signature.model_fields.items()
        ]
    return {
        "$": "signature",
        "name": signature.__name__,
        "instructions": signature.__doc__,
        "fields": fields,
    }


@decodes("signature")
def decode_signature(decoder: Decoder, node: Node, _donor: Any = None) -> Any:
    """The signature class of a node; a new one each time, as DSPy itself makes them."""
    fields: dict[str, Any] = {
        field["name"]: decode_field(decoder, field) for field in node["fields"]
    }
    return rebuild_signature(node["name"], node["instructions"], fields)


def rebuild_signature(name: str, instructions: str, fields: dict[str, Any]) -> Any:
    """A signature class of these parts.

    Args:
        name: The class's name.
        instructions: Its docstring, as it stands in the class.
        fields: (annotation, FieldInfo) by name, in order.
    """
    for field in fields:
        if not field.isidentifier() or field.startswith("_"):
            raise ValueError(field)
    return create_model(name, __base__=dspy.Signature, __doc__=instructions, **fields)
