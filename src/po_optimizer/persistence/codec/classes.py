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

from po_optimizer.errors import DamagedArtifactError, NotStoredError
from po_optimizer.persistence.codec.annotations import (
    NAMES,
    decode_annotation,
    encode_annotation,
    type_variable,
)
from po_optimizer.persistence.codec.fields import (
    RefusingFactory,
    decode_field,
    encode_field,
)
from po_optimizer.persistence.codec.imports import (
    DATA_PACKAGES,
    EXACT,
    KINDS,
    class_reference,
    import_path,
)
from po_optimizer.persistence.codec.values import (
    Decoder,
    Encoder,
    NotStored,
    decodes,
    encodes,
    placeholder,
)

Node = dict[str, Any]

_ENUM_BASES = {
    name: getattr(enum, name)
    for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
    if hasattr(enum, name)
}
_MIXINS: dict[str, type] = {kind.__name__: kind for kind in (str, int, float, bytes)}
_MAX_MEMBERS = 10_000  # of an enum, fields of a class
_FLAGS = (
    *("frozen", "populate_by_name", "use_enum_values", "strict", "validate_by_name"),
    *("arbitrary_types_allowed", "str_strip_whitespace", "validate_by_alias"),
    *("serialize_by_alias", "use_attribute_docstrings", "coerce_numbers_to_str"),
    *("str_to_lower", "str_to_upper", "allow_inf_nan"),
)
_CONFIG: dict[str, type] = {
    **dict.fromkeys(_FLAGS, bool),
    **dict.fromkeys(("title", "extra", "ser_json_bytes", "val_json_bytes"), str),
    **dict.fromkeys(("ser_json_timedelta", "ser_json_inf_nan"), str),
    **dict.fromkeys(("str_max_length", "str_min_length"), int),
    "json_schema_extra": dict,
}
"""What a rebuilt model's configuration may hold: nothing that is called."""
_ACTING = frozenset(
    {
        *("__init__", "__new__", "__post_init__", "__setattr__", "__getattribute__"),
        *("__getattr__", "__eq__", "__hash__", "__str__", "__format__", "__iter__"),
        *("__len__", "__bool__", "__lt__", "__contains__", "__getitem__"),
        *("model_post_init", "__get_pydantic_core_schema__", "_missing_"),
        *("model_validate", "model_dump", "__get_pydantic_json_schema__"),
        *("__call__", "__add__", "__float__", "__int__"),
    }
)
"""Methods that act without being called by name."""


class CodelessModel(BaseModel):
    """Base of pydantic models rebuilt without their code, which refuse to need it."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse(cls, _value: Any) -> Any:
        raise NotStoredError(cls.__name__, f"the validators of {import_path(cls)}")


class RebuiltModel(CodelessModel):
    """Base of those whose code decides how they are rendered.

    What it gave when the program was saved stands in for what it would give.
    """

    @pydantic.model_serializer(mode="plain")
    def _stored_form(self) -> Any:
        if "__stored_form__" not in self.__dict__:
            raise NotStoredError(type(self).__name__, "its serializers")
        return self.__dict__["__stored_form__"]


class RebuiltType(dspy.Type):
    """Base of DSPy types rebuilt from a document: the stored rendering stands in."""

    def format(self) -> Any:
        """What the original class's `format` gave when the program was saved.

        Raises:
            NotStoredError: It was not saved, but made by the loaded program.
        """
        if "__stored_form__" not in self.__dict__:
            raise NotStoredError(type(self).__name__, "its format()")
        return self.__dict__["__stored_form__"]


def kind_of(item: Any) -> str | None:
    """What kind of class it is to a document; None for kinds that are not data."""
    if isinstance(item, typing.NewType):
        return "newtype"
    return next((k for k in _STRUCTURE if k in KINDS and KINDS[k](item)), None)


@encodes("builtins.type+", "typing.NewType", "typing.ForwardRef")
def _encode_class_value(encoder: Encoder, item: Any, where: str) -> Node:
    name = NAMES.get(id(item))
    if name is not None:
        return {"$": "type", "v": name}
    if isinstance(item, typing.ForwardRef):
        return {"$": "type", "v": "typing.Any"}
    is_code = kind_of(item) is None and import_path(item) not in EXACT["code"]
    if is_code and not encoder.annotating:  # a class that somebody keeps and calls
        return encoder.leave_out(where, "class", import_path(item))
    return {"$": "type", "v": {"type": encode_class(encoder, item, where)}}


def encode_class(encoder: Encoder, item: Any, where: str) -> str:
    """The id of a class in the document's table of types, which it enters here."""
    if item in encoder.type_ids:
        return encoder.type_ids[item]
    name = getattr(item, "__name__", type(item).__name__)
    type_id = name if name not in encoder.types else f"{name}#{len(encoder.types)}"
    encoder.type_ids[item] = type_id
    kind = kind_of(item) or "opaque"
    path = vars(item).get("__rebuilt_from__") or class_reference(item)
    node: Node = {"kind": kind, "path": path}
    encoder.types[type_id] = node
    if _special(encoder, item, node, where) or path in EXACT.get(kind, {}):
        return type_id
    encoder.classes[path] = item
    with encoder.strictness(strict=False):
        node.update(_STRUCTURE[kind](encoder, item, f"{where}:{name}"))
    return type_id


def _special(encoder: Encoder, item: Any, node: Node, where: str) -> bool:
    """Classes that a generic or a class method makes from another class."""
    generic = getattr(item, "__pydantic_generic_metadata__", None)
    if generic and generic["origin"]:
        args = [encode_annotation(encoder, arg, where) for arg in generic["args"]]
        origin = encode_class(encoder, generic["origin"], where)
        node.update(kind="generic", path="", origin=origin, args=args)
        return True
    if dspy.Code in getattr(item, "__bases__", ()) and hasattr(item, "language"):
        node.update(kind="code", path="", language=str(item.language))
        return True
    if node["path"] in EXACT["code"]:
        node["kind"] = "known"
        return True
    return False


def _is_external(item: Any) -> bool:
    return import_path(item) in EXACT["model"]


def code_of(item: type) -> list[str]:
    """Names of what acts in a class or its bases of somebody's own."""
    names: list[str] = []
    for base in item.__mro__:
        if base.__module__.split(".")[0] in (*DATA_PACKAGES, "builtins", "typing"):
            continue
        for name, value in vars(base).items():
            if name in _ACTING and _is_written(base, value):
                names.append(f"{base.__qualname__}.{name}")
    return names


def _is_written(base: type, value: Any) -> bool:
    """Written in the class, not made by pydantic, dataclasses or enum."""
    value = getattr(value, "__func__", value)
    code = getattr(value, "__code__", None)
    return (
        code is not None
        and getattr(value, "__module__", "") == base.__module__
        and (not code.co_filename.startswith("<string>"))
    )


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
        key: found.model_config.get(key)
        for key, kind in _CONFIG.items()
        if isinstance(found.model_config.get(key), kind)
    }
    node: Node = {"name": found.__name__, "doc": found.__doc__, "fields": fields}
    if config:
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
    if issubclass(found, CodelessModel) or _list_code(encoder, found, where):
        node["acts"] = True
    return node


def _list_code(encoder: Encoder, item: type[BaseModel], where: str) -> bool:
    """Names the code of a model, which comes back with its class only."""
    decorators = item.__pydantic_decorators__
    kinds = (
        *("validators", "field_validators", "root_validators", "model_validators"),
        *("field_serializers", "model_serializers", "computed_fields"),
    )
    code = [f"{kind} {name}" for kind in kinds for name in getattr(decorators, kind)]
    code += code_of(item)
    if callable(item.model_config.get("alias_generator")):
        code.append("alias_generator")
    for name in code:
        what = f"{import_path(item)}, {name}"
        encoder.not_stored.append({"where": where, "kind": "class code", "what": what})
    return bool(code)


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
            node["factory"] = getattr(field.default_factory, "__name__", "")
        if not field.init:
            node["init"] = False
        fields.append(node)
    frozen = found.__dataclass_params__.frozen
    return {
        "name": found.__name__,
        "doc": found.__doc__,
        "fields": fields,
        "frozen": frozen,
        **({"acts": True} if code_of(found) else {}),
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
        node["required"] = sorted(found.__required_keys__)
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
    "opaque": lambda _encoder, item, _where: {"name": item.__name__},
}


@decodes("class")
def _decode_class_value(decoder: Decoder, node: Node, _donor: Any) -> Any:
    return decode_class(decoder, node["id"])


def decode_class(decoder: Decoder, type_id: str) -> Any:
    """The class with that id: imported if that is allowed, else rebuilt.

    Raises:
        DamagedArtifactError: The table of types has no such class.
        ArtifactError: Its path names something of another kind.
    """
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


def _complete_forward_references(decoder: Decoder) -> None:
    if any(type_id not in decoder.built for type_id in decoder.building):
        return
    names = {name: decoder.built[i] for i, name in decoder.building.items()}
    for item in names.values():
        if kind_of(item) == "model" and not item.__pydantic_complete__:
            item.model_rebuild(force=True, _types_namespace=names)


def _names_of(node: Node, parts: str) -> list[str]:
    """The names of a class's fields or members, which are data like any other.

    Raises:
        DamagedArtifactError: One of them is no public name.
    """
    names = [p["name"] if isinstance(p, dict) else p[0] for p in node[parts]]
    for name in [node["name"], *names]:
        private = name.startswith("_") and not (
            name == node["name"] and name[1:2] != "_"
        )
        if not name.isidentifier() or private:
            raise DamagedArtifactError("types", f"name {name!r:.80}")
    return names


def _rebuild_model(decoder: Decoder, node: Node, _type_id: str) -> Any:
    module, _, qualname = node["path"].partition(":")
    config = decoder.decode(node.get("config", {}))
    annotations: Node = {}
    body: Node = {
        "__doc__": node["doc"],
        "__module__": module,
        "__qualname__": qualname,
        "__annotations__": annotations,
        "model_config": {
            key: value
            for key, value in config.items()
            if isinstance(value, _CONFIG.get(key, NotStored)) and not callable(value)
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
        names = tuple(type_variable(decoder, name) for name in node["parameters"])
        return (base, typing.Generic[names])  # type: ignore[index]
    return (base,)


def _base(node: Node) -> type[BaseModel]:
    if node.get("stored_form"):
        return RebuiltModel
    return CodelessModel if node.get("acts") else BaseModel


def _rebuild_enum(decoder: Decoder, node: Node, _type_id: str) -> Any:
    base = _ENUM_BASES.get(node["base"], enum.Enum)
    mixin = _MIXINS[node["mixin"]] if "mixin" in node else None
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
    """Its annotations come last: a field may be of the class itself."""
    fields: list[Any] = []
    for name, field in zip(_names_of(node, "fields"), node["fields"], strict=True):
        options: Node = {"init": bool(field.get("init", True))}
        if "default" in field:
            options["default"] = decoder.decode(field["default"])
        if "factory" in field:
            factory = _DATACLASS_FACTORIES.get(str(field["factory"]))
            parts = f"{node['name']}.{name}", "factory", "its default factory"
            options["default_factory"] = factory or RefusingFactory(*parts)
        fields.append((name, Any, dataclasses.field(kw_only=True, **options)))
    module, _, qualname = node["path"].partition(":")
    namespace = {"__doc__": node["doc"], "__module__": module, "__qualname__": qualname}
    if node.get("acts"):
        namespace["__post_init__"] = _refuse_instance
    item: Any = dataclasses.make_dataclass(
        node["name"], fields, frozen=bool(node["frozen"]), namespace=namespace
    )
    decoder.built[type_id] = item
    for field in node["fields"]:
        annotation = decode_annotation(decoder, field["type"])
        item.__annotations__[field["name"]] = annotation
        item.__dataclass_fields__[field["name"]].type = annotation
    return item


def _refuse_instance(self: Any) -> None:
    raise NotStoredError(type(self).__name__, f"the code of {import_path(type(self))}")


def _rebuild_typeddict(decoder: Decoder, node: Node, type_id: str) -> Any:
    names = _names_of(node, "fields")
    if "total" in node:  # version 1
        fields = {
            f["name"]: decode_annotation(decoder, f["type"]) for f in node["fields"]
        }
        make: Any = typing_extensions.TypedDict
        return _renamed(make(node["name"], fields, total=bool(node["total"])), node)
    required = set(node["required"])
    marks = {
        name: (
            typing_extensions.Required
            if name in required
            else typing_extensions.NotRequired
        )[Any]
        for name in names
    }
    make = typing_extensions.TypedDict
    item = _renamed(make(node["name"], marks), node)
    decoder.built[type_id] = item
    for field in node["fields"]:
        annotation = decode_annotation(decoder, field["type"])
        item.__annotations__[field["name"]] = annotation
    return item


def _rebuild_namedtuple(decoder: Decoder, node: Node, type_id: str) -> Any:
    make: Any = typing.NamedTuple
    item = make(node["name"], [(name, Any) for name in _names_of(node, "fields")])
    decoder.built[type_id] = _renamed(item, node)
    item._field_defaults = {n: decoder.decode(value) for n, value in node["defaults"]}
    item.__new__.__defaults__ = tuple(item._field_defaults.values())
    for field in node["fields"]:
        annotation = decode_annotation(decoder, field["type"])
        item.__annotations__[field["name"]] = annotation
    return item


def _renamed(item: Any, node: Node) -> Any:
    item.__doc__ = node.get("doc")
    item.__module__, _, item.__qualname__ = node["path"].partition(":")
    return item


def _rebuild_newtype(decoder: Decoder, node: Node, _type_id: str) -> Any:
    make: Any = typing.NewType
    item = make(node["name"], decode_annotation(decoder, node["base"]))
    item.__module__, _, item.__qualname__ = node["path"].partition(":")
    return item


def _rebuild_generic(decoder: Decoder, node: Node, _type_id: str) -> Any:
    args = tuple(decode_annotation(decoder, arg) for arg in node["args"])
    return decode_class(decoder, node["origin"])[args]


def _rebuild_alias(decoder: Decoder, node: Node, _type_id: str) -> Any:
    value = decode_annotation(decoder, node["value"])
    return typing_extensions.TypeAliasType(node["name"], value)


def _rebuild_opaque(decoder: Decoder, node: Node, type_id: str) -> Any:
    """A class that is no data: its name stays, nothing is an instance of it."""
    missing = {"where": type_id, "kind": "type", "what": node["path"]}
    placeholder(decoder, missing)
    item = type(str(node["name"]), (), {"__rebuilt_from__": node["path"]})
    item.__module__, _, item.__qualname__ = node["path"].partition(":")
    return item


_REBUILD: dict[str, Callable[[Decoder, Node, str], Any]] = {
    "model": _rebuild_model,
    "enum": _rebuild_enum,
    "dataclass": _rebuild_dataclass,
    "namedtuple": _rebuild_namedtuple,
    "typeddict": _rebuild_typeddict,
    "newtype": _rebuild_newtype,
    "generic": _rebuild_generic,
    "alias": _rebuild_alias,
    "opaque": _rebuild_opaque,
    "code": lambda _decoder, node, _type_id: dspy.Code[str(node["language"])],
    "known": lambda _decoder, node, _type_id: EXACT["code"][node["path"]],
}
