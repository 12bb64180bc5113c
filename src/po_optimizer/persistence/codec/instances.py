"""Instances of the program's own types: models, enums, dataclasses, examples.

Rebuilt attribute by attribute, without calling a constructor or a validator: what
was valid when it was saved stays as it is.
"""

import dataclasses
import enum
from typing import Any

import dspy
from pydantic import BaseModel, RootModel

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence.codec.classes import encode_class, has_serializers
from po_optimizer.persistence.codec.imports import KINDS
from po_optimizer.persistence.codec.rebuilt_classes import (
    RebuiltModel,
    RebuiltType,
    decode_class,
)
from po_optimizer.persistence.codec.values import (
    ABSENT,
    Decoder,
    Encoder,
    Node,
    class_path,
    decodes,
    encoder_of,
    encodes,
)


def _class(decoder: Decoder, node: Node, kind: str) -> Any:
    """The class of an instance's node."""
    item = decode_class(decoder, node["type"])
    if not KINDS[kind](item):
        raise DamagedArtifactError("types", f"{node['type']!r:.80} is no {kind}")
    return item


@encodes("pydantic.main.BaseModel+")
def _encode_model(encoder: Encoder, value: BaseModel, where: str) -> Node:
    kind = type(value)
    stored = {k: v for k, v in vars(value).items() if k != "__stored_form__"}
    with encoder.having(strict=encoder.strict and kind is not dspy.Tool):
        fields = encoder.encode_members(stored, where)
    node: Node = {"$": "model", "type": encode_class(encoder, kind, where), "v": fields}
    if value.model_fields_set != set(stored):
        node["set"] = sorted(value.model_fields_set)
    for key in ("extra", "private"):
        members = getattr(value, f"__pydantic_{key}__")
        if members:
            node[key] = encoder.encode(members, where)
    if has_serializers(kind):
        node["form"] = encoder.encode(_form(value), where)
    return node


def _form(value: BaseModel) -> Any:
    """The value as the class's code renders it in a prompt."""
    if "__stored_form__" in vars(value):
        return vars(value)["__stored_form__"]
    if isinstance(value, dspy.Type):
        return value.format()
    return value.model_dump(mode="json", fallback=str)  # as DSPy renders it


@decodes("model")
def _decode_model(decoder: Decoder, node: Node, donor: Any) -> BaseModel:
    kind = _class(decoder, node, "model")
    if _is_live(node, donor, kind, decoder):
        return donor  # type: ignore[no-any-return]
    fields = dict(decoder.decode_members(node["v"], donor))
    value: BaseModel = object.__new__(kind)
    if "form" in node and issubclass(kind, RebuiltModel | RebuiltType):
        fields["__stored_form__"] = decoder.decode(node["form"])
    object.__setattr__(value, "__dict__", fields)
    fields_set = set(node["set"] if "set" in node else node["v"])
    object.__setattr__(value, "__pydantic_fields_set__", fields_set)
    if not issubclass(kind, RootModel):  # which has no such slots
        extra = decoder.decode(node.get("extra"))
        if extra is None and kind.model_config.get("extra") == "allow":
            extra = {}
        object.__setattr__(value, "__pydantic_extra__", extra)
        private = decoder.decode(node.get("private"))
        object.__setattr__(value, "__pydantic_private__", private)
    return value


def _is_live(node: Node, donor: Any, kind: type, decoder: Decoder) -> bool:
    """True if a part is a live object: then the donor's value is taken whole."""
    if decoder.compare or not isinstance(donor, kind):
        return False
    members = [m for m in node["v"].values() if isinstance(m, dict)]
    return any(m.get("$") == "missing" and m.get("kind") == "object" for m in members)


@encodes("enum.Enum+")
def _encode_enum(encoder: Encoder, value: enum.Enum, where: str) -> Node:
    type_id = encode_class(encoder, type(value), where)
    if value.name in type(value).__members__:
        return {"$": "enum", "type": type_id, "name": value.name}
    return {"$": "enum", "type": type_id, "v": encoder.encode(value._value_, where)}


@decodes("enum")
def _decode_enum(decoder: Decoder, node: Node, _donor: Any) -> Any:
    kind = _class(decoder, node, "enum")
    if "name" in node:
        return kind.__members__[node["name"]]
    value = decoder.decode(node["v"])
    if not issubclass(kind, enum.Flag) or type(value) is not int:
        raise DamagedArtifactError("enum", f"{value!r:.80}")
    return kind(value)


@encodes("builtins.tuple+", "builtins.object+")
def _encode_by_shape(encoder: Encoder, value: Any, where: str) -> Node:
    """Dataclasses and named tuples, which have no base class in common."""
    kind = type(value)
    if hasattr(kind, "__del__"):
        return encoder.leave_out(where, "object", class_path(kind))
    if dataclasses.is_dataclass(kind):
        fields = encoder.encode_members(_state(value), where)
        type_id = encode_class(encoder, kind, where)
        return {"$": "dataclass", "type": type_id, "v": fields}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        items = [encoder.encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
        type_id = encode_class(encoder, kind, where)
        return {"$": "namedtuple", "type": type_id, "items": items}
    return encoder.leave_out(where, "object", class_path(kind))


def _state(value: Any) -> Node:
    """The attributes of a dataclass, those in slots too."""
    names = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
    return {**getattr(value, "__dict__", {}), **{n: getattr(value, n) for n in names}}


@decodes("dataclass")
def _decode_dataclass(decoder: Decoder, node: Node, donor: Any) -> Any:
    kind = _class(decoder, node, "dataclass")
    if _is_live(node, donor, kind, decoder):
        return donor
    value = object.__new__(kind)
    for name, member in decoder.decode_members(node["v"], donor):
        object.__setattr__(value, name, member)
    return value


@decodes("namedtuple")
def _decode_namedtuple(decoder: Decoder, node: Node, _donor: Any) -> Any:
    items = [decoder.decode(item) for item in node["items"]]
    return tuple.__new__(_class(decoder, node, "namedtuple"), items)


@encodes("dspy.primitives.example.Example", "dspy.primitives.prediction.Prediction")
def _encode_example(encoder: Encoder, value: Any, where: str) -> Node:
    store = encoder_of(dict)(encoder, value._store, where)
    node: Node = {"$": type(value).__name__.lower(), "v": store}
    inputs = getattr(value, "_input_keys", None)
    if inputs is not None:
        node["inputs"] = sorted(inputs)
    return node


@decodes("example", "prediction")
def _decode_example(decoder: Decoder, node: Node, donor: Any) -> Any:
    kind = dspy.Example if node["$"] == "example" else dspy.Prediction
    value = kind()
    value._store = decoder.decode(node["v"], getattr(donor, "_store", ABSENT))
    if "inputs" in node:
        value._input_keys = set(node["inputs"])
    return value
