"""Classes as a document names them: imported where that is allowed, else rebuilt.

A rebuilt class has the fields, types and texts of the saved one and none of its code:
what its values gave when the program was saved stands in for what they would give.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from typing import Any, ForwardRef

import dspy
import pydantic
import typing_extensions
from pydantic import BaseModel

from po_optimizer.errors import DamagedArtifactError, NotStoredError
from po_optimizer.persistence.codec.annotations import decode_annotation
from po_optimizer.persistence.codec.fields import Refusing, decode_field
from po_optimizer.persistence.codec.imports import EXACT, KINDS, import_path
from po_optimizer.persistence.codec.values import (
    Decoder,
    Node,
    NotStored,
    decodes,
    placeholder,
)

ENUM_BASES = {
    name: getattr(enum, name)
    for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
    if hasattr(enum, name)
}
MIXINS: dict[str, type] = {kind.__name__: kind for kind in (str, int, float, bytes)}
_MAX_MEMBERS = 10_000  # of an enum, fields of a class
_FLAGS = (
    *("frozen", "populate_by_name", "use_enum_values", "strict", "validate_by_name"),
    *("arbitrary_types_allowed", "str_strip_whitespace", "validate_by_alias"),
    *("serialize_by_alias", "use_attribute_docstrings", "coerce_numbers_to_str"),
    *("str_to_lower", "str_to_upper", "allow_inf_nan"),
)
CONFIG: dict[str, type] = {
    **dict.fromkeys(_FLAGS, bool),
    **dict.fromkeys(("title", "extra", "ser_json_bytes", "val_json_bytes"), str),
    **dict.fromkeys(("ser_json_timedelta", "ser_json_inf_nan"), str),
    **dict.fromkeys(("str_max_length", "str_min_length"), int),
    "json_schema_extra": dict,
}
"""What a rebuilt model's configuration may hold: nothing that is called."""


class CodelessModel(BaseModel):
    """Base of rebuilt models that had validators; they refuse new values."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse(cls, _value: Any) -> Any:
        raise NotStoredError(cls.__name__, f"the validators of {import_path(cls)}")


class RebuiltModel(CodelessModel):
    """Base of rebuilt models that had serializers; they give what was stored."""

    @pydantic.model_serializer(mode="plain")
    def _stored_form(self) -> Any:
        if "__stored_form__" not in self.__dict__:
            raise NotStoredError(type(self).__name__, "its serializers")
        return self.__dict__["__stored_form__"]


class RebuiltType(dspy.Type):
    """Base of rebuilt DSPy types; they give the rendering that was stored."""

    def format(self) -> Any:
        """What the original class's `format` gave when the program was saved."""
        if "__stored_form__" not in self.__dict__:
            raise NotStoredError(type(self).__name__, "its format()")
        return self.__dict__["__stored_form__"]


def decode_class(decoder: Decoder, type_id: str) -> Any:
    """The class with that id: imported if that is allowed, else rebuilt."""
    if type_id in decoder.built:
        return decoder.built[type_id]
    if type_id in decoder.building:  # a class that names itself
        return ForwardRef(decoder.building[type_id])
    node = decoder.types.get(type_id)
    if not isinstance(node, dict):
        raise DamagedArtifactError("types", f"no type {type_id!r:.80}")
    if max(map(len, (node.get("fields", ()), node.get("members", ())))) > _MAX_MEMBERS:
        raise DamagedArtifactError("types", f"{type_id!r:.80} has too many parts")
    kind = node["kind"]
    item = decoder.imports.find(node["path"], kind) if kind in KINDS else None
    if kind == "opaque":
        item = decoder.imports.given(node["path"])
    if item is None:
        decoder.building[type_id] = f"_Type{len(decoder.building)}"
        with decoder.level():
            item = _REBUILD[kind](decoder, node, type_id)
        if kind in KINDS:
            type.__setattr__(item, "__rebuilt_from__", node["path"])
    decoder.built[type_id] = item
    _complete_forward_references(decoder)
    return item


decodes("class")(lambda decoder, node, _donor: decode_class(decoder, node["id"]))


def _complete_forward_references(decoder: Decoder) -> None:
    if any(type_id not in decoder.built for type_id in decoder.building):
        return
    names = {name: decoder.built[i] for i, name in decoder.building.items()}
    for item in names.values():
        is_model = isinstance(item, type) and issubclass(item, BaseModel)
        if is_model and not item.__pydantic_complete__:
            item.model_rebuild(force=True, _types_namespace=names)


def _names_of(node: Node, parts: str) -> list[str]:
    """The names of a class's fields or members; a private one is refused."""
    names = [p["name"] if isinstance(p, dict) else p[0] for p in node[parts]]
    for name in [node["name"], *names]:
        private = name.startswith("_") and not (
            name == node["name"] and name[1:2] != "_"
        )
        if not name.isidentifier() or private:
            raise DamagedArtifactError("types", f"name {name!r:.80}")
    return names


def _rebuild_model(decoder: Decoder, node: Node, _type_id: str) -> Any:
    config = decoder.decode(node.get("config", {}))
    annotations: Node = {}
    body: Node = {
        **_namespace(node),
        "__annotations__": annotations,
        "model_config": {
            key: value
            for key, value in config.items()
            if isinstance(value, CONFIG.get(key, NotStored)) and not callable(value)
        },
    }
    names = _names_of(node, "fields")
    for name, field in zip(names, node["fields"], strict=True):
        if name in body or hasattr(BaseModel, name):
            raise DamagedArtifactError("types", f"field {name!r:.80}")
        annotations[name], body[name] = decode_field(decoder, field)
    bases = _bases(decoder, node)
    item: Any = types.new_class(node["name"], bases, {}, lambda ns: ns.update(body))
    if "description" in node:
        text = str(node["description"])
        item.description = classmethod(lambda _cls: text)
    return item


def _bases(decoder: Decoder, node: Node) -> tuple[Any, ...]:
    if node.get("root"):
        annotation = decode_field(decoder, node["fields"][0])[0]
        root: Any = pydantic.RootModel[annotation]  # type: ignore[valid-type]
        return (_base(node), root) if _base(node) is not BaseModel else (root,)
    if "description" in node:
        return (RebuiltType,)
    base = _base(node)
    if "parameters" in node:
        names = tuple(decoder.type_variable(name) for name in node["parameters"])
        return (base, typing.Generic[names])  # type: ignore[index]
    return (base,)


def _base(node: Node) -> type[BaseModel]:
    if node.get("stored_form"):
        return RebuiltModel
    return CodelessModel if node.get("acts") else BaseModel


def _rebuild_enum(decoder: Decoder, node: Node, _type_id: str) -> Any:
    base = ENUM_BASES.get(node["base"], enum.Enum)
    mixin = MIXINS[node["mixin"]] if "mixin" in node else None
    members = {}
    for name, (_, value) in zip(
        _names_of(node, "members"), node["members"], strict=True
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


_DATACLASS_FACTORIES = {kind.__name__: kind for kind in (list, dict, set, tuple)}


def _rebuild_dataclass(decoder: Decoder, node: Node, type_id: str) -> Any:
    fields: list[Any] = []
    for name, field in zip(_names_of(node, "fields"), node["fields"], strict=True):
        options: Node = {"init": bool(field.get("init", True))}
        if "default" in field:
            options["default"] = decoder.decode(field["default"])
        if "factory" in field:
            factory = _DATACLASS_FACTORIES.get(str(field["factory"]))
            parts = f"{node['name']}.{name}", "factory", "its default factory"
            options["default_factory"] = factory or Refusing(*parts)
        fields.append((name, Any, dataclasses.field(kw_only=True, **options)))
    namespace = _namespace(node)
    if node.get("acts"):
        namespace["__post_init__"] = _refuse_instance
    item: Any = dataclasses.make_dataclass(
        node["name"], fields, frozen=bool(node["frozen"]), namespace=namespace
    )
    return _annotated(decoder, node, type_id, item)


def _refuse_instance(self: Any) -> None:
    raise NotStoredError(type(self).__name__, f"the code of {import_path(type(self))}")


def _rebuild_typeddict(decoder: Decoder, node: Node, type_id: str) -> Any:
    names = _names_of(node, "fields")
    total = names if node.get("total") else ()  # of version 1
    required = set(node.get("required", total))
    needed, optional = typing_extensions.Required, typing_extensions.NotRequired
    marks = {name: (needed if name in required else optional)[Any] for name in names}
    make: Any = typing_extensions.TypedDict
    item = _renamed(make(node["name"], marks), node)
    return _annotated(decoder, node, type_id, item)


def _rebuild_namedtuple(decoder: Decoder, node: Node, type_id: str) -> Any:
    make: Any = typing.NamedTuple
    item = make(node["name"], [(name, Any) for name in _names_of(node, "fields")])
    decoder.built[type_id] = _renamed(item, node)
    item._field_defaults = {n: decoder.decode(value) for n, value in node["defaults"]}
    item.__new__.__defaults__ = tuple(item._field_defaults.values())
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


def _namespace(node: Node) -> Node:
    """Doc, module and name of a class."""
    module, _, qualname = node["path"].partition(":")
    names = {"__module__": module, "__qualname__": qualname}
    return {"__doc__": node.get("doc"), **names}


def _renamed(item: Any, node: Node) -> Any:
    for name, value in _namespace(node).items():
        setattr(item, name, value)
    return item


def _rebuild_newtype(decoder: Decoder, node: Node, _type_id: str) -> Any:
    make: Any = typing.NewType
    return _renamed(make(node["name"], decode_annotation(decoder, node["base"])), node)


def _rebuild_generic(decoder: Decoder, node: Node, _type_id: str) -> Any:
    args = tuple(decode_annotation(decoder, arg) for arg in node["args"])
    return decode_class(decoder, node["origin"])[args]


def _rebuild_opaque(decoder: Decoder, node: Node, type_id: str) -> Any:
    """A class that is no data: its name stays, nothing is an instance of it."""
    missing = {"where": type_id, "kind": "type", "what": node["path"]}
    placeholder(decoder, missing)
    item = type(str(node["name"]), (), {"__rebuilt_from__": node["path"]})
    return _renamed(item, node)


_REBUILD: dict[str, Callable[[Decoder, Node, str], Any]] = {
    "model": _rebuild_model,
    "enum": _rebuild_enum,
    "dataclass": _rebuild_dataclass,
    "namedtuple": _rebuild_namedtuple,
    "typeddict": _rebuild_typeddict,
    "newtype": _rebuild_newtype,
    "generic": _rebuild_generic,
    "alias": lambda decoder, node, _type_id: typing_extensions.TypeAliasType(
        node["name"], decode_annotation(decoder, node["value"])
    ),
    "opaque": _rebuild_opaque,
    "code": lambda _decoder, node, _type_id: dspy.Code[str(node["language"])],
    "known": lambda _decoder, node, _type_id: EXACT["code"][node["path"]],
}
