"""The classes that a program's types name: by import path, and rebuilt without it.

A class of DSPy or pydantic is its path. Any other one is stored with its structure
too, so that a process without the defining module renders the same prompts. Its
code (validators, methods) is not data: it comes back only with the import.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, ForwardRef

import dspy
import pydantic
import typing_extensions
from pydantic import BaseModel

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence.allowlist import DATA_PACKAGES, KINDS, import_path
from po_optimizer.persistence.annotations import (
    NAMES,
    decode_annotation,
    encode_annotation,
    type_variable,
)
from po_optimizer.persistence.fields import decode_field, encode_field
from po_optimizer.persistence.values import Decoder, Encoder, decodes, encodes

Node = dict[str, Any]

_ENUM_BASES = {
    name: getattr(enum, name)
    for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
    if hasattr(enum, name)
}
_MIXINS: dict[str, type] = {kind.__name__: kind for kind in (str, int, float, bytes)}
_CONFIG = (
    *("title", "extra", "frozen", "populate_by_name", "use_enum_values", "strict"),
    *(
        "arbitrary_types_allowed",
        "json_schema_extra",
        "ser_json_bytes",
        "val_json_bytes",
    ),
    *(
        "ser_json_timedelta",
        "ser_json_inf_nan",
        "str_strip_whitespace",
        "str_max_length",
    ),
    *("str_min_length", "validate_default", "validate_by_name", "validate_by_alias"),
    *("serialize_by_alias", "use_attribute_docstrings", "coerce_numbers_to_str"),
)


class RebuiltModel(BaseModel):
    """Base of pydantic models rebuilt from a document, for models with serializers.

    The serializers are code; what they gave when the program was saved stands in.
    """

    @pydantic.model_serializer(mode="plain")
    def _stored_form(self) -> Any:
        return self.__dict__.get("__stored_form__")


class RebuiltType(dspy.Type):
    """Base of DSPy types rebuilt from a document: the stored rendering stands in."""

    def format(self) -> Any:
        """What the original class's `format` gave when the program was saved."""
        return self.__dict__.get("__stored_form__")


def kind_of(found: Any) -> str | None:
    """What kind of class it is to a document; None for kinds that are not data."""
    return next((kind for kind in _STRUCTURE if KINDS[kind](found)), None)


@encodes("builtins.type+", "typing.NewType", "typing.ForwardRef")
def _encode_class_value(encoder: Encoder, found: Any, where: str) -> Node:
    name = NAMES.get(id(found))
    if name is not None:
        return {"$": "type", "v": name}
    if kind_of(found) is None:
        return encoder.leave_out(where, "function", import_path(found))
    return {"$": "type", "v": {"type": encode_class(encoder, found, where)}}


def encode_class(encoder: Encoder, found: Any, where: str) -> str:
    """The id of a class in the document's table of types, which it enters here."""
    if found in encoder.type_ids:
        return encoder.type_ids[found]
    kind, name = kind_of(found), found.__name__
    type_id = name if name not in encoder.types else f"{name}#{len(encoder.types)}"
    encoder.type_ids[found] = type_id
    node: Node = {"kind": kind, "path": import_path(found)}
    encoder.types[type_id] = node
    with encoder.strictness(strict=True):
        if not _special(encoder, found, node, where) and not _is_external(found):
            encoder.known[node["path"]] = found
            node.update(_STRUCTURE[str(kind)](encoder, found, f"{where}:{name}"))
    return type_id


def _is_external(found: Any) -> bool:
    return found.__module__.split(".")[0] in DATA_PACKAGES


def _special(encoder: Encoder, found: Any, node: Node, where: str) -> bool:
    """Classes that a generic or a class method makes from another class."""
    generic = getattr(found, "__pydantic_generic_metadata__", None)
    if generic and generic["origin"]:
        args = [encode_annotation(encoder, arg, where) for arg in generic["args"]]
        origin = encode_class(encoder, generic["origin"], where)
        node.update(kind="generic", path="", origin=origin, args=args)
        return True
    if dspy.Code in getattr(found, "__bases__", ()):
        node.update(kind="code", path="", language=str(found.language))
        return True
    return False


def has_serializers(found: type[BaseModel]) -> bool:
    """True when what the class's values look like in a prompt is made by its code."""
    if _is_external(found):
        return False
    if issubclass(found, dspy.Type):
        return True
    code = found.__pydantic_decorators__
    if code.field_serializers or code.model_serializers or code.computed_fields:
        return True
    return any(
        _has_serializer([*field.metadata, field.annotation])
        for field in found.model_fields.values()
    )


def _has_serializer(parts: Iterable[Any]) -> bool:
    kinds = (pydantic.PlainSerializer, pydantic.WrapSerializer)
    return any(
        isinstance(item, kinds) or _has_serializer(typing.get_args(item))
        for item in parts
    )


def _model_structure(encoder: Encoder, found: type[BaseModel], where: str) -> Node:
    found.model_rebuild(raise_errors=False)  # names of classes defined after it
    fields = [
        encode_field(encoder, name, field, f"{where}.{name}")
        for name, field in found.model_fields.items()
    ]
    config = {
        key: found.model_config.get(key) for key in _CONFIG if key in found.model_config
    }
    node: Node = {"name": found.__name__, "doc": found.__doc__, "fields": fields}
    if config:
        with encoder.strictness(strict=False):
            node["config"] = encoder.encode(config, f"{where}.model_config")
    parameters = found.__pydantic_generic_metadata__["parameters"]
    if parameters:
        node["parameters"] = [parameter.__name__ for parameter in parameters]
    if issubclass(found, pydantic.RootModel):
        node["root"] = True
    if issubclass(found, dspy.Type):
        node["description"] = found.description()  # type: ignore[attr-defined]
    if has_serializers(found):
        node["stored_form"] = True
    _list_code(encoder, found, where)
    return node


def _list_code(encoder: Encoder, found: type[BaseModel], where: str) -> None:
    code = found.__pydantic_decorators__
    for kind in (
        "validators",
        "field_validators",
        "root_validators",
        "model_validators",
        "field_serializers",
        "model_serializers",
        "computed_fields",
    ):
        for name in getattr(code, kind):
            what = f"{import_path(found)}.{name}"
            encoder.not_stored.append({"where": where, "kind": kind, "what": what})


def _enum_structure(encoder: Encoder, found: type[enum.Enum], where: str) -> Node:
    base = next(n for n, b in reversed(_ENUM_BASES.items()) if issubclass(found, b))
    mixin = next((n for n, kind in _MIXINS.items() if issubclass(found, kind)), None)
    members = [
        [name, encoder.encode(member._value_, f"{where}.{name}")]
        for name, member in found.__members__.items()
    ]
    node: Node = {"name": found.__name__, "base": base, "members": members}
    if mixin and base in ("Enum", "Flag"):
        node["mixin"] = mixin
    if found.__doc__ and found.__doc__ != "An enumeration.":
        node["doc"] = found.__doc__
    return node


def _dataclass_structure(encoder: Encoder, found: Any, where: str) -> Node:
    hints = typing.get_type_hints(found, include_extras=True)
    fields = []
    for field in dataclasses.fields(found):
        hint = encode_annotation(encoder, hints[field.name], where)
        node: Node = {"name": field.name, "type": hint}
        if field.default is not dataclasses.MISSING:
            default = field.default  # pydantic's dataclasses keep a FieldInfo here
            node["default"] = encoder.encode(default, f"{where}.{field.name}")
        if field.default_factory is not dataclasses.MISSING:
            node["factory"] = True
        fields.append(node)
    frozen = found.__dataclass_params__.frozen
    return {
        "name": found.__name__,
        "doc": found.__doc__,
        "fields": fields,
        "frozen": frozen,
    }


def _named_structure(encoder: Encoder, found: Any, where: str) -> Node:
    hints = typing_extensions.get_type_hints(found, include_extras=True)
    names = found._fields if issubclass(found, tuple) else list(hints)
    node: Node = {
        "name": found.__name__,
        "doc": found.__doc__,
        "fields": [
            {"name": n, "type": encode_annotation(encoder, hints.get(n, Any), where)}
            for n in names
        ],
    }
    if issubclass(found, tuple):
        node["defaults"] = [
            [n, encoder.encode(v, where)] for n, v in found._field_defaults.items()
        ]
    else:
        node["total"] = found.__total__
    return node


def _newtype_structure(encoder: Encoder, found: Any, where: str) -> Node:
    base = encode_annotation(encoder, found.__supertype__, where)
    return {"name": found.__name__, "base": base}


_STRUCTURE: dict[str, Callable[[Encoder, Any, str], Node]] = {
    "enum": _enum_structure,
    "model": _model_structure,
    "namedtuple": _named_structure,
    "dataclass": _dataclass_structure,
    "typeddict": _named_structure,
    "newtype": _newtype_structure,
}


@decodes("class")
def _decode_class_value(decoder: Decoder, node: Node, _donor: Any) -> Any:
    return decode_class(decoder, node["id"])


def decode_class(decoder: Decoder, type_id: str) -> Any:
    """The class with that id: imported if that is allowed, else rebuilt.

    Raises:
        DamagedArtifactError: The table of types has no such class.
        UnsafeArtifactError: Its path names something of another kind.
    """
    if type_id in decoder.built:
        return decoder.built[type_id]
    if type_id in decoder.building:  # a class that names itself
        return ForwardRef(decoder.building[type_id])
    node = decoder.types.get(type_id)
    if not isinstance(node, dict):
        raise DamagedArtifactError("types", f"no type {type_id!r:.80}")
    kind = node["kind"]
    found = decoder.imports.find(node["path"], kind) if kind in _STRUCTURE else None
    if found is None:
        decoder.building[type_id] = f"_Type{len(decoder.building)}"
        found = _REBUILD[kind](decoder, node)
    decoder.built[type_id] = found
    _complete_forward_references(decoder)
    return found


def _complete_forward_references(decoder: Decoder) -> None:
    if any(type_id not in decoder.built for type_id in decoder.building):
        return
    names = {name: decoder.built[i] for i, name in decoder.building.items()}
    for found in names.values():
        if kind_of(found) == "model" and not found.__pydantic_complete__:
            found.model_rebuild(force=True, _types_namespace=names)


def _rebuild_model(decoder: Decoder, node: Node) -> Any:
    module, _, qualname = node["path"].partition(":")
    annotations: Node = {}
    body: Node = {
        "__doc__": node["doc"],
        "__module__": module,
        "__qualname__": qualname,
        "__annotations__": annotations,
        "model_config": decoder.decode(node.get("config", {})),
    }
    for field in node["fields"]:
        name = field["name"]
        if not name.isidentifier() or name.startswith(("_", "model_config")):
            raise DamagedArtifactError("types", f"field {name!r:.80}")
        annotations[name], body[name] = decode_field(decoder, field)
    bases = _bases(decoder, node)
    found: Any = types.new_class(node["name"], bases, {}, lambda ns: ns.update(body))
    if "description" in node:
        text = str(node["description"])
        found.description = classmethod(lambda _cls: text)
    return found


def _bases(decoder: Decoder, node: Node) -> tuple[Any, ...]:
    if node.get("root"):
        annotation = decode_field(decoder, node["fields"][0])[0]
        return (pydantic.RootModel[annotation],)  # type: ignore[valid-type]
    if "description" in node:
        return (RebuiltType,)
    base = RebuiltModel if node.get("stored_form") else BaseModel
    if "parameters" in node:
        names = tuple(type_variable(decoder, name) for name in node["parameters"])
        return (base, typing.Generic[names])  # type: ignore[index]
    return (base,)


def _rebuild_enum(decoder: Decoder, node: Node) -> Any:
    members = {}
    for name, value in node["members"]:
        if name.startswith("__") or not name.isidentifier():
            raise DamagedArtifactError("types", f"member {name!r:.80}")
        members[name] = decoder.decode(value)
    module, _, qualname = node["path"].partition(":")
    base = _ENUM_BASES.get(node["base"], enum.Enum)
    mixin = _MIXINS[node["mixin"]] if "mixin" in node else None
    found = base(node["name"], members, module=module, qualname=qualname, type=mixin)
    if "doc" in node:
        found.__doc__ = node["doc"]
    return found


def _rebuild_dataclass(decoder: Decoder, node: Node) -> Any:
    fields: list[Any] = []
    for field in node["fields"]:
        annotation = decode_annotation(decoder, field["type"])
        options: Node = {}
        if "default" in field:
            options["default"] = decoder.decode(field["default"])
        if "factory" in field:
            options["default_factory"] = list
        made = dataclasses.field(kw_only=True, **options)
        fields.append((field["name"], annotation, made))
    module, _, qualname = node["path"].partition(":")
    namespace = {"__doc__": node["doc"], "__module__": module, "__qualname__": qualname}
    return dataclasses.make_dataclass(
        node["name"], fields, frozen=bool(node["frozen"]), namespace=namespace
    )


def _rebuild_typeddict(decoder: Decoder, node: Node) -> Any:
    fields = {f["name"]: decode_annotation(decoder, f["type"]) for f in node["fields"]}
    make: Any = typing_extensions.TypedDict
    return _named(make(node["name"], fields, total=bool(node["total"])), node)


def _rebuild_namedtuple(decoder: Decoder, node: Node) -> Any:
    fields = {f["name"]: decode_annotation(decoder, f["type"]) for f in node["fields"]}
    make: Any = typing.NamedTuple
    found = make(node["name"], fields.items())
    found._field_defaults = {n: decoder.decode(value) for n, value in node["defaults"]}
    found.__new__.__defaults__ = tuple(found._field_defaults.values())
    return _named(found, node)


def _named(found: Any, node: Node) -> Any:
    found.__doc__ = node["doc"]
    found.__module__, _, found.__qualname__ = node["path"].partition(":")
    return found


def _rebuild_newtype(decoder: Decoder, node: Node) -> Any:
    return typing.NewType(node["name"], decode_annotation(decoder, node["base"]))


def _rebuild_generic(decoder: Decoder, node: Node) -> Any:
    args = tuple(decode_annotation(decoder, arg) for arg in node["args"])
    return decode_class(decoder, node["origin"])[args]


_REBUILD: dict[str, Callable[[Decoder, Node], Any]] = {
    "model": _rebuild_model,
    "enum": _rebuild_enum,
    "dataclass": _rebuild_dataclass,
    "namedtuple": _rebuild_namedtuple,
    "typeddict": _rebuild_typeddict,
    "newtype": _rebuild_newtype,
    "generic": _rebuild_generic,
    "code": lambda _decoder, node: dspy.Code[str(node["language"])],
}
