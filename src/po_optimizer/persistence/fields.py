"""Pydantic fields as data: annotation, default, constraints and descriptions.

Signatures and pydantic models are both lists of these.
"""

from typing import Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WrapSerializer,
    WrapValidator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence.annotations import decode_annotation, encode_annotation
from po_optimizer.persistence.values import (
    Decoder,
    Encoder,
    NotStored,
    class_path,
    decodes,
    encodes,
)

Node = dict[str, Any]

_PLAIN = (
    *("alias", "alias_priority", "validation_alias", "serialization_alias", "title"),
    *("description", "examples", "exclude", "discriminator", "deprecated", "frozen"),
    *("json_schema_extra", "validate_default", "repr", "init", "init_var", "kw_only"),
)
_SHORT = {"json_schema_extra": "extra"}  # every field of a signature has it
_UNSET = FieldInfo()
_FACTORIES = {kind.__name__: kind for kind in (list, dict, set, tuple, str, int, float)}
_BY_CLASS: dict[Any, str] = {
    kind: name for name, kind in FieldInfo.metadata_lookup.items() if kind is not None
}
_GENERAL: Any = Field(pattern="x").metadata[0]  # its class is pydantic's secret


_VALIDATORS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(AfterValidator, BeforeValidator, PlainValidator, WrapValidator),
        *(PlainSerializer, WrapSerializer),
    )
}


class Passing(NotStored):
    """Stands in for a validator or serializer that is not there: all pass."""

    def __call__(self, value: Any) -> Any:
        """The value itself."""
        return value


class PassingWrap(NotStored):
    """Stands in for a wrapping validator that is not stored."""

    def __call__(self, value: Any, handler: Any) -> Any:
        """What the wrapped validation makes of the value."""
        return handler(value)


def encode_field(encoder: Encoder, name: str, field: FieldInfo, where: str) -> Node:
    """A field as data, under its name; what is unset is left out."""
    node: Node = {
        "name": name,
        "type": encode_annotation(encoder, field.annotation, where),
    }
    if field.default is not PydanticUndefined:
        node["default"] = encoder.encode(field.default, f"{where}.default")
    if field.default_factory is not None:
        node["factory"] = _encode_factory(encoder, field.default_factory, where)
    for attribute in _PLAIN:
        value = getattr(field, attribute)
        if value != getattr(_UNSET, attribute) and value is not PydanticUndefined:
            key = _SHORT.get(attribute, attribute)
            node[key] = encoder.encode(value, f"{where}.{attribute}")
    if field.metadata:
        node["metadata"] = [encoder.encode(item, where) for item in field.metadata]
    return node


def decode_field(decoder: Decoder, node: Node) -> tuple[Any, FieldInfo]:
    """The annotation and the field of a node, as `create_model` takes them."""
    values = {
        attribute: decoder.decode(node[key])
        for attribute in _PLAIN
        if (key := _SHORT.get(attribute, attribute)) in node
    }
    if "default" in node:
        values["default"] = decoder.decode(node["default"])
    if "factory" in node:
        values["default_factory"] = _decode_factory(decoder, node["factory"])
    field: FieldInfo = Field(**values)
    field.annotation = decode_annotation(decoder, node["type"])
    field.metadata = decoder.decode(node.get("metadata", []))
    # pydantic merges fields by what it knows to be set, and only that.
    field._attributes_set["annotation"] = field.annotation
    return field.annotation, field


def _encode_factory(encoder: Encoder, factory: Any, where: str) -> Any:
    name = getattr(factory, "__name__", "")
    if _FACTORIES.get(name) is factory:
        return name
    path = f"{factory.__module__}:{factory.__qualname__}"
    with encoder.strictness(strict=False):
        return encoder.leave_out(f"{where}.default_factory", "factory", path)


def _decode_factory(decoder: Decoder, node: Any) -> Any:
    return _FACTORIES[node] if isinstance(node, str) else decoder.decode(node)


@encodes(*(class_path(kind) for kind in (*_BY_CLASS, type(_GENERAL))))
def _encode_constraint(encoder: Encoder, item: Any, where: str) -> Node:
    name = _BY_CLASS.get(type(item))
    bounds = vars(item) if name is None else {name: getattr(item, name, True)}
    return {"$": "constraint", "v": encoder.encode(dict(bounds), where)}


@decodes("constraint")
def _decode_constraint(decoder: Decoder, node: Node, _donor: Any) -> Any:
    bounds = decoder.decode(node["v"])
    if not bounds or not set(bounds) <= set(FieldInfo.metadata_lookup):
        raise DamagedArtifactError("constraint", f"{list(bounds)!r:.80}")
    return Field(**bounds).metadata[0]


@encodes(*map(class_path, _VALIDATORS.values()))
def _encode_validator(encoder: Encoder, item: Any, where: str) -> Node:
    name = type(item).__name__
    with encoder.strictness(strict=False):  # code is listed, not an error
        func = encoder.encode(item.func, f"{where}.{name}")
    node: Node = {"$": "validator", "kind": name, "func": func}
    shown_as = getattr(item, "json_schema_input_type", PydanticUndefined)
    if shown_as is not PydanticUndefined:
        node["shown_as"] = encode_annotation(encoder, shown_as, where)
    return node


@decodes("validator")
def _decode_validator(decoder: Decoder, node: Node, _donor: Any) -> Any:
    kind = _VALIDATORS[node["kind"]]
    func = decoder.decode(node["func"])
    if isinstance(func, NotStored):
        passing = PassingWrap if kind.__name__.startswith("Wrap") else Passing
        func = passing(func.where, func.kind, func.what)
    if "shown_as" in node:
        shown_as = decode_annotation(decoder, node["shown_as"])
        return kind(func, json_schema_input_type=shown_as)
    return kind(func)


@encodes("pydantic.fields.FieldInfo")
def _encode_field_value(encoder: Encoder, value: FieldInfo, where: str) -> Node:
    return {"$": "field", "v": encode_field(encoder, "", value, where)}


@decodes("field")
def _decode_field_value(decoder: Decoder, node: Node, _donor: Any) -> FieldInfo:
    return decode_field(decoder, node["v"])[1]


@encodes("pydantic.aliases.AliasPath", "pydantic.aliases.AliasChoices")
def _encode_alias(encoder: Encoder, value: Any, where: str) -> Node:
    if isinstance(value, AliasPath):
        return {"$": "aliaspath", "items": list(value.path)}
    return {"$": "aliaschoices", "items": encoder.encode(value.choices, where)}


@decodes("aliaspath", "aliaschoices")
def _decode_alias(decoder: Decoder, node: Node, _donor: Any) -> Any:
    items = decoder.decode(node["items"])
    return (AliasPath if node["$"] == "aliaspath" else AliasChoices)(*items)
