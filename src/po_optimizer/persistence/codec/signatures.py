"""Signatures by value: name, instructions and ordered fields.

Always by value, never by import: a signature is what the optimizer rewrites, and an
import would give back the one in the code.
"""

from typing import Any

import dspy
from pydantic import create_model

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence.codec.fields import decode_field, encode_field
from po_optimizer.persistence.codec.values import (
    ABSENT,
    Decoder,
    Encoder,
    Node,
    decodes,
    encodes,
)

_AS_GIVEN = {"name", "type", "extra", "default", "description", "title"}
"""Parts of a field that pydantic takes as they are; it merges others into one."""


class SignatureParts:
    """What a signature class would be made of, to compare with the saved one."""

    def __init__(self, name: str, instructions: str, fields: dict[str, Any]) -> None:
        self.__name__, self.__doc__, self.model_fields = name, instructions, fields


@encodes("dspy.signatures.signature.SignatureMeta", f"{__name__}.SignatureParts")
def encode_signature(encoder: Encoder, signature: Any, where: str) -> Node:
    """A signature class as data."""
    with encoder.having(strict=False):
        node: Node = {
            "$": "signature",
            "name": signature.__name__,
            "instructions": encoder.encode(signature.__doc__, where),
            "fields": [
                encode_field(encoder, name, field, f"{where}.{name}")
                for name, field in signature.model_fields.items()
            ],
        }
        is_class = isinstance(signature, type)
        if is_class and (beside := class_variables(signature)):
            node["class"] = encoder.encode(beside, where)
    return node


def class_variables(signature: Any) -> dict[str, Any]:
    """What the class holds beside its fields: `ClassVar`s, which fields never are."""
    return {
        name: getattr(signature, name)
        for base in reversed(signature.__mro__)
        if issubclass(base, dspy.Signature) and base is not dspy.Signature
        for name in base.__class_vars__
    }


@decodes("signature")
def decode_signature(decoder: Decoder, node: Node, donor: Any = ABSENT) -> Any:
    """The signature class of a node; a new one each time, as DSPy itself makes them."""
    live = donor.model_fields if isinstance(donor, type(dspy.Signature)) else {}
    fields: dict[str, Any] = {
        field["name"]: decode_field(decoder, field, live.get(field["name"]))
        for field in node["fields"]
    }
    beside = decoder.decode(node.get("class", {}))
    instructions = decoder.decode(node["instructions"])
    if decoder.parts and not beside and all(map(_is_as_given, node["fields"])):
        infos = {name: info for name, (_, info) in fields.items()}
        return SignatureParts(node["name"], instructions, infos)
    return rebuild_signature(node["name"], instructions, fields, beside)


def _is_as_given(field: Node) -> bool:
    """Whether the class would have this field as it was decoded: nothing is merged."""
    hint = field["type"]
    return field.keys() <= _AS_GIVEN and not (
        isinstance(hint, dict) and "annotated" in hint
    )


def rebuild_signature(
    name: str,
    instructions: str,
    fields: dict[str, Any],
    beside: dict[str, Any] | None = None,
) -> Any:
    """A signature class; fields as `create_model` takes them, `ClassVar`s beside."""
    beside = beside or {}
    for field in [*fields, *beside]:
        if not field.isidentifier() or field.startswith("_"):
            raise DamagedArtifactError("signature", f"name {field!r:.80}")
    signature = create_model(
        name, __base__=dspy.Signature, __doc__=instructions, **fields
    )
    for key, value in beside.items():
        if hasattr(dspy.Signature, key):
            raise DamagedArtifactError("signature", f"name {key!r:.80}")
        type.__setattr__(signature, key, value)
        signature.__class_vars__.add(key)
    return signature
