"""Enums, dataclasses, named tuples, TypedDicts and examples, classes and instances.

Instances are rebuilt attribute by attribute, without calling a constructor.
"""

import builtins
import dataclasses
import enum
import typing
from collections.abc import Iterable
from typing import Any

import dspy
import typing_extensions

from po_optimizer.errors import DamagedArtifactError, NotStoredError
from po_optimizer.persistence.codec.annotations import (
    decode_annotation,
    encode_annotation,
)
from po_optimizer.persistence.codec.fields import Refusing
from po_optimizer.persistence.codec.imports import import_path
from po_optimizer.persistence.codec.models import code_of, is_live
from po_optimizer.persistence.codec.type_table import (
    class_of,
    encode_class,
    names_of,
    namespace_of,
    register,
    renamed,
)
from po_optimizer.persistence.codec.values import (
    ABSENT,
    Decoder,
    Encoder,
    Node,
    class_path,
    decodes,
    encodes,
    part,
    state_of,
)

ENUM_BASES = {
    name: getattr(enum, name)
    for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
    if hasattr(enum, name)
}
MIXINS: dict[str, type] = {kind.__name__: kind for kind in (str, int, float, bytes)}


def _enum_structure(encoder: Encoder, cls: type[enum.Enum], where: str) -> Node:
    base = next(n for n, b in reversed(ENUM_BASES.items()) if issubclass(cls, b))
    mixin = next((n for n, kind in MIXINS.items() if issubclass(cls, kind)), None)
    members = [
        [name, encoder.encode(member._value_, f"{where}.{name}")]
        for name, member in cls.__members__.items()
    ]
    node: Node = {"name": cls.__name__, "base": base, "members": members}
    if mixin and base in ("Enum", "Flag"):
        node["mixin"] = mixin
    if cls.__doc__ and cls.__doc__ != "An enumeration.":
        node["doc"] = cls.__doc__
    return node


def _rebuild_enum(decoder: Decoder, node: Node, _type_id: str) -> Any:
    base = ENUM_BASES.get(node["base"], enum.Enum)
    mixin = MIXINS[node["mixin"]] if "mixin" in node else None
    members = {}
    for name, (_, value) in zip(
        names_of(node, "members"), node["members"], strict=True
    ):
        members[name] = decoder.decode(value)
        if mixin and not isinstance(members[name], mixin):
            # bytes(10**9) would take a gigabyte
            raise DamagedArtifactError("types", f"member {name!r:.80}")
        if issubclass(base, enum.Flag | int) and not isinstance(members[name], int):
            raise DamagedArtifactError("types", f"member {name!r:.80}")
    module, _, qualname = node["path"].partition(":")
    item: Any = base(
        node["name"], members, module=module, qualname=qualname, type=mixin
    )
    if "doc" in node:
        item.__doc__ = node["doc"]
    return item


@encodes("enum.Enum+")
def _encode_enum(encoder: Encoder, value: enum.Enum, where: str) -> Node:
    type_id = encode_class(encoder, type(value), where)
    if value.name in type(value).__members__:
        return {"$": "enum", "type": type_id, "name": value.name}
    return {"$": "enum", "type": type_id, "v": encoder.encode(value._value_, where)}


@decodes("enum")
def _decode_enum(decoder: Decoder, node: Node, _donor: Any) -> Any:
    kind = class_of(decoder, node, "enum")
    if "name" in node:
        return kind.__members__[node["name"]]
    value = decoder.decode(node["v"])
    if not issubclass(kind, enum.Flag) or type(value) is not int:
        raise DamagedArtifactError("enum", f"{value!r:.80}")
    return kind(value)


def _record_structure(
    encoder: Encoder, cls: Any, names: Iterable[str], where: str
) -> Node:
    """Name, doc and typed fields of a class."""
    hints = typing_extensions.get_type_hints(cls, include_extras=True)
    fields = [
        {"name": n, "type": encode_annotation(encoder, hints.get(n, Any), where)}
        for n in names
    ]
    return {"name": cls.__name__, "doc": cls.__doc__, "fields": fields}


def _dataclass_structure(encoder: Encoder, cls: Any, where: str) -> Node:
    fields = dataclasses.fields(cls)
    structure = _record_structure(encoder, cls, [f.name for f in fields], where)
    for field, node in zip(fields, structure["fields"], strict=True):
        if field.default is not dataclasses.MISSING:
            default = field.default  # pydantic's dataclasses keep a FieldInfo here
            node["default"] = encoder.encode(default, f"{where}.{field.name}")
        if field.default_factory is not dataclasses.MISSING:
            factory = field.default_factory
            name = getattr(factory, "__name__", "")
            own = getattr(builtins, name, None) is not factory
            node["factory"] = f"function {name}" if own else name
        if not field.init:
            node["init"] = False
    structure["frozen"] = cls.__dataclass_params__.frozen
    return {**structure, **({"acts": True} if code_of(cls) else {})}


_DATACLASS_FACTORIES = {kind.__name__: kind for kind in (list, dict, set, tuple)}


def _rebuild_dataclass(decoder: Decoder, node: Node, type_id: str) -> Any:
    fields: list[Any] = []
    for name, field in zip(names_of(node, "fields"), node["fields"], strict=True):
        options: Node = {"init": bool(field.get("init", True))}
        if "default" in field:
            options["default"] = decoder.decode(field["default"])
        if "factory" in field:
            factory = _DATACLASS_FACTORIES.get(str(field["factory"]))
            parts = f"{node['name']}.{name}", "factory", "its default factory"
            options["default_factory"] = factory or Refusing(*parts)
        fields.append((name, Any, dataclasses.field(kw_only=True, **options)))
    namespace = namespace_of(node)
    if node.get("acts"):
        namespace["__post_init__"] = _refuse_instance
    item: Any = dataclasses.make_dataclass(
        node["name"], fields, frozen=bool(node["frozen"]), namespace=namespace
    )
    return _annotated(decoder, node, type_id, item)


def _refuse_instance(self: Any) -> None:
    raise NotStoredError(type(self).__name__, f"the code of {import_path(type(self))}")


def _namedtuple_structure(encoder: Encoder, cls: Any, where: str) -> Node:
    defaults = cls._field_defaults.items()
    return {
        **_record_structure(encoder, cls, cls._fields, where),
        "defaults": [[name, encoder.encode(v, where)] for name, v in defaults],
    }


def _rebuild_namedtuple(decoder: Decoder, node: Node, type_id: str) -> Any:
    make: Any = typing.NamedTuple
    item = make(node["name"], [(name, Any) for name in names_of(node, "fields")])
    decoder.built[type_id] = renamed(item, node)
    item._field_defaults = {n: decoder.decode(value) for n, value in node["defaults"]}
    item.__new__.__defaults__ = tuple(item._field_defaults.values())
    return _annotated(decoder, node, type_id, item)


def _typeddict_structure(encoder: Encoder, cls: Any, where: str) -> Node:
    hints = typing_extensions.get_type_hints(cls)
    return {
        **_record_structure(encoder, cls, hints, where),
        "required": sorted(cls.__required_keys__),
    }


def _rebuild_typeddict(decoder: Decoder, node: Node, type_id: str) -> Any:
    names = names_of(node, "fields")
    total = names if node.get("total") else ()  # of version 1
    required = set(node.get("required", total))
    needed, optional = typing_extensions.Required, typing_extensions.NotRequired
    marks = {name: (needed if name in required else optional)[Any] for name in names}
    make: Any = typing_extensions.TypedDict
    item = renamed(make(node["name"], marks), node)
    return _annotated(decoder, node, type_id, item)


def _annotated(decoder: Decoder, node: Node, type_id: str, item: Any) -> Any:
    """The class with its annotations, which come last: they may name it."""
    decoder.built[type_id] = item
    for field in node["fields"]:
        annotation = decode_annotation(decoder, field["type"])
        item.__annotations__[field["name"]] = annotation
        if dataclasses.is_dataclass(item):
            item.__dataclass_fields__[field["name"]].type = annotation
    return item


@encodes("builtins.tuple+", "builtins.object+")
def _encode_by_shape(encoder: Encoder, value: Any, where: str) -> Node:
    """Dataclasses and named tuples, which have no base class in common."""
    kind = type(value)
    if hasattr(kind, "__del__"):
        return encoder.leave_out(where, "object", class_path(kind))
    if dataclasses.is_dataclass(kind):
        fields = encoder.encode_members(state_of(value), where)
        type_id = encode_class(encoder, kind, where)
        return {"$": "dataclass", "type": type_id, "v": fields}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        items = [encoder.encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
        type_id = encode_class(encoder, kind, where)
        return {"$": "namedtuple", "type": type_id, "items": items}
    return encoder.leave_out(where, "object", class_path(kind))


@decodes("dataclass")
def _decode_dataclass(decoder: Decoder, node: Node, donor: Any) -> Any:
    kind = class_of(decoder, node, "dataclass")
    if is_live(node, donor, kind, decoder):
        return donor
    value = object.__new__(kind)
    for name, member in decoder.decode_members(node["v"], donor):
        object.__setattr__(value, name, member)
    return value


@decodes("namedtuple")
def _decode_namedtuple(decoder: Decoder, node: Node, donor: Any) -> Any:
    nodes = enumerate(node["items"])
    items = [decoder.decode(item, part(donor, i)) for i, item in nodes]
    return tuple.__new__(class_of(decoder, node, "namedtuple"), items)


@encodes("dspy.primitives.example.Example", "dspy.primitives.prediction.Prediction")
def _encode_example(encoder: Encoder, value: Any, where: str) -> Node:
    node: Node = {"$": type(value).__name__.lower()}
    encoder.encode_values(node, value._store, where)
    inputs = getattr(value, "_input_keys", None)
    if inputs is not None:
        node["inputs"] = sorted(inputs)
    return node


@decodes("example", "prediction")
def _decode_example(decoder: Decoder, node: Node, donor: Any) -> Any:
    kind = dspy.Example if node["$"] == "example" else dspy.Prediction
    value = kind()
    state = vars(value)  # which DSPy's own attribute access would look up slowly
    store = decoder.decode(node["v"], getattr(donor, "_store", ABSENT))
    if not isinstance(store, dict):
        raise DamagedArtifactError("example", f"{store!r:.80}")
    state["_store"] = store
    if "inputs" in node:
        state["_input_keys"] = set(node["inputs"])
    return value


register("enum", _enum_structure, _rebuild_enum)
register("dataclass", _dataclass_structure, _rebuild_dataclass)
register("namedtuple", _namedtuple_structure, _rebuild_namedtuple)
register("typeddict", _typeddict_structure, _rebuild_typeddict)
