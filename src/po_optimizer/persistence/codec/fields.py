"""Pydantic fields as data: annotation, default, constraints and descriptions.

Signatures and pydantic models are both lists of these. Validators and serializers
are code: they are named, and what stands for them refuses to be run.
"""

from typing import Any

import annotated_types
import pydantic
from pydantic import AliasChoices, AliasPath, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence.codec.annotations import (
    decode_annotation,
    decode_metadata,
    encode_annotation,
    encode_metadata,
)
from po_optimizer.persistence.codec.values import (
    Decoder,
    Encoder,
    Node,
    NotStored,
    class_path,
    decodes,
    encodes,
    placeholder,
)

_TEXT, _FLAG = (str,), (bool,)
_ALIAS = (str, AliasPath, AliasChoices)
_PLAIN: dict[str, tuple[type, ...]] = {
    **{"alias": _TEXT, "alias_priority": (int,), "validation_alias": _ALIAS},
    **{"serialization_alias": _TEXT, "title": _TEXT, "description": _TEXT},
    **{"examples": (list,), "exclude": _FLAG, "discriminator": _TEXT},
    **{"deprecated": (bool, str), "frozen": _FLAG, "json_schema_extra": (dict,)},
    **{"repr": _FLAG, "init": _FLAG, "init_var": _FLAG, "kw_only": _FLAG},
}
"""What a rebuilt field takes, by name, and of which types."""
_SHORT = {"json_schema_extra": "extra"}  # every field of a signature has it
_UNSET = {attribute: getattr(FieldInfo(), attribute) for attribute in _PLAIN}
_FACTORIES = {kind.__name__: kind for kind in (list, dict, set, tuple, str, int, float)}
_BY_CLASS: dict[Any, str] = {
    kind: name for name, kind in FieldInfo.metadata_lookup.items() if kind is not None
}
_GENERAL: Any = Field(pattern="x").metadata[0]  # its class is pydantic's secret

_METADATA: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(annotated_types.Interval, annotated_types.Len, annotated_types.Timezone),
        *(annotated_types.Unit, pydantic.AllowInfNan, pydantic.Discriminator),
        *(pydantic.StringConstraints, pydantic.Tag, pydantic.UrlConstraints),
        *(pydantic.FailFast, pydantic.Json, pydantic.SerializeAsAny),
        *(pydantic.SkipValidation, pydantic.WithJsonSchema, pydantic.types.PathType),
        *(pydantic.types.UuidVersion, pydantic.json_schema.Examples),
        pydantic.json_schema.SkipJsonSchema,
    )
}
_ENCODED = {k.__name__: k for k in (pydantic.EncodedBytes, pydantic.EncodedStr)}
_ENCODERS = {
    kind.__name__: kind
    for kind in (pydantic.Base64Encoder, pydantic.types.Base64UrlEncoder)
}
_VALIDATORS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(pydantic.AfterValidator, pydantic.BeforeValidator, pydantic.PlainValidator),
        *(pydantic.WrapValidator, pydantic.PlainSerializer, pydantic.WrapSerializer),
    )
}


class Refusing(NotStored):
    """Stands in for a default's factory; a subclass for what takes arguments."""

    def __bool__(self) -> bool:  # type: ignore[override]
        return True  # pydantic asks whether there is one


class _RefusingValue(Refusing):
    """Stands in for a validator or a serializer: pydantic counts its parameters."""

    def __call__(self, value: Any) -> Any:
        """Refuse."""
        self._refuse(value)


class _RefusingWrap(Refusing):
    """Stands in for a wrapping validator or serializer."""

    def __call__(self, value: Any, handler: Any) -> Any:
        """Refuse."""
        self._refuse(value, handler)


def encode_field(encoder: Encoder, name: str, field: FieldInfo, where: str) -> Node:
    """A field as data, under its name; what is unset is left out."""
    hint = encode_annotation(encoder, field.annotation, where)
    node: Node = {"name": name, "type": hint}
    if field.default is not PydanticUndefined:
        node["default"] = encoder.encode(field.default, f"{where}.default")
    if field.default_factory is not None:
        node["factory"] = _encode_factory(encoder, field.default_factory, where)
    for attribute, kinds in _PLAIN.items():
        value, unset = getattr(field, attribute), _UNSET[attribute]
        # what is of another type is unset, or a function: a schema's maker
        if value is not unset and isinstance(value, kinds) and value != unset:
            key = _SHORT.get(attribute, attribute)
            node[key] = encoder.encode(value, f"{where}.{attribute}")
    if field.metadata:
        node["metadata"] = [encode_metadata(encoder, m, where) for m in field.metadata]
    return node


def decode_field(
    decoder: Decoder, node: Node, donor: FieldInfo | None = None
) -> tuple[Any, FieldInfo]:
    """The annotation and the field of a node, as `create_model` takes them.

    A donor is the same field of a live signature: it gives its validators and factory.
    """
    values = {
        attribute: decoder.decode(node[key])
        for attribute in _PLAIN
        if (key := _SHORT.get(attribute, attribute)) in node
    }
    for attribute, value in values.items():
        if value is not None and not isinstance(value, _PLAIN[attribute]):
            raise DamagedArtifactError("field", f"{attribute}={value!r:.80}")
    if "default" in node:
        values["default"] = decoder.decode(node["default"])
    if "factory" in node:
        given = donor.default_factory if donor is not None else None
        values["default_factory"] = given or _decode_factory(decoder, node["factory"])
    field = FieldInfo.from_field(**values)
    metadata = node.get("metadata", [])
    if donor is not None and _acts(metadata) and len(donor.metadata) == len(metadata):
        field.annotation, field.metadata = donor.annotation, list(donor.metadata)
    else:
        field.annotation = _annotation(decoder, node["type"], donor)
        field.metadata = [decode_metadata(decoder, item) for item in metadata]
    # pydantic merges fields by what it knows to be set, and only that.
    field._attributes_set["annotation"] = field.annotation
    return field.annotation, field


def _annotation(decoder: Decoder, node: Any, donor: FieldInfo | None) -> Any:
    """The annotation; a donor's, if the document only names a part of it."""
    before = len(decoder.missing)
    annotation = decode_annotation(decoder, node)
    if donor is not None and len(decoder.missing) > before:
        del decoder.missing[before:]
        return donor.annotation
    return annotation


def _acts(metadata: list[Any]) -> bool:
    tags = ("validator", "missing")
    return any(isinstance(m, dict) and m.get("$") in tags for m in metadata)


def _encode_code(encoder: Encoder, code: Any, where: str, kind: str) -> Any:
    """A factory, validator or serializer, which a document only names."""
    if isinstance(code, NotStored):
        return encoder.encode(code, where)
    what = getattr(code, "__qualname__", type(code).__qualname__)
    path = f"{getattr(code, '__module__', '')}:{what}"
    return encoder.leave_out(where, kind, path)


def _encode_factory(encoder: Encoder, factory: Any, where: str) -> Any:
    name = getattr(factory, "__name__", "")
    if _FACTORIES.get(name) is factory:
        return name
    with encoder.having(strict=False):
        return _encode_code(encoder, factory, f"{where}.default_factory", "factory")


def _decode_factory(decoder: Decoder, node: Any) -> Any:
    if isinstance(node, str):
        return _FACTORIES[node]
    return placeholder(decoder, node, Refusing)


@encodes(*(class_path(kind) for kind in (*_BY_CLASS, type(_GENERAL))))
def _encode_constraint(encoder: Encoder, item: Any, where: str) -> Node:
    name = _BY_CLASS.get(type(item))
    bounds = vars(item) if name is None else {name: getattr(item, name, True)}
    return {"$": "constraint", "v": encoder.encode(dict(bounds), where)}


@decodes("constraint")
def _decode_constraint(decoder: Decoder, node: Node, _donor: Any) -> Any:
    bounds = _only_data(decoder.decode(node["v"]))
    if not bounds or not set(bounds) <= set(FieldInfo.metadata_lookup):
        raise DamagedArtifactError("constraint", f"{list(bounds)!r:.80}")
    if len(bounds) == 1 and _BY_CLASS.get(type(Field(**bounds).metadata[0])):
        return Field(**bounds).metadata[0]
    general = object.__new__(type(_GENERAL))
    general.__dict__ = bounds
    return general


@encodes(*(class_path(kind) for kind in (*_METADATA.values(), *_ENCODED.values())))
def _encode_known_metadata(encoder: Encoder, item: Any, where: str) -> Node:
    kind = type(item)
    fields = getattr(kind, "__dataclass_fields__", None)
    names = vars(item) if fields is None else fields
    values = {name: getattr(item, name) for name in names}
    name = getattr(values.get("encoder"), "__name__", "")
    if name and _ENCODERS.get(name) is values["encoder"]:
        return {"$": "metadata", "kind": kind.__name__, "encoder": name}
    if any(map(callable, values.values())) or kind in _ENCODED.values():
        return _action(encoder, item, where)
    return {"$": "metadata", "kind": kind.__name__, "v": encoder.encode(values, where)}


@decodes("metadata")
def _decode_known_metadata(decoder: Decoder, node: Node, _donor: Any) -> Any:
    if "encoder" in node:
        return _ENCODED[node["kind"]](encoder=_ENCODERS[node["encoder"]])
    return _METADATA[node["kind"]](**_only_data(decoder.decode(node["v"])))


def _only_data(value: Any) -> Any:
    """The value, if it holds nothing that pydantic would call in a constraint."""
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    if isinstance(parts, list | tuple | set | frozenset):
        for item in parts:
            _only_data(item)
    elif callable(value) or isinstance(value, NotStored):
        raise DamagedArtifactError("constraint", f"{value!r:.80}")
    return value


@encodes(
    "pydantic.types.GetPydanticSchema+",
    "pydantic.functional_validators.InstanceOf+",
    "annotated_types.Predicate+",
)
def _encode_action(encoder: Encoder, item: Any, where: str) -> Node:
    return _action(encoder, item, where)


def _action(encoder: Encoder, item: Any, where: str) -> Node:
    """Metadata with code, other than pydantic's validators: only named."""
    func = encoder.leave_out(where, "function", class_path(type(item)))
    return {"$": "validator", "kind": "AfterValidator", "func": func}


@encodes(*map(class_path, _VALIDATORS.values()))
def _encode_validator(encoder: Encoder, item: Any, where: str) -> Node:
    name = type(item).__name__
    func = _encode_code(encoder, item.func, f"{where}.{name}", "function")
    node: Node = {"$": "validator", "kind": name, "func": func}
    shown_as = getattr(item, "json_schema_input_type", PydanticUndefined)
    if shown_as is not PydanticUndefined:
        node["shown_as"] = encode_annotation(encoder, shown_as, where)
    return node


@decodes("validator")
def _decode_validator(decoder: Decoder, node: Node, _donor: Any) -> Any:
    """A validator of that kind, for the schema's sake, that refuses to be run."""
    kind = _VALIDATORS[node["kind"]]
    stand_in = _RefusingWrap if kind.__name__.startswith("Wrap") else _RefusingValue
    func = placeholder(decoder, node["func"], stand_in)
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
