"""The classes that a program's types name: their import paths and their structure.

A class of DSPy or pydantic is its path. Any other one is stored with its structure
too, so that a process without the defining module renders the same prompts. Its
code (validators, methods) is not data: it comes back only with the import.
"""

import dataclasses
import enum
import typing
from collections.abc import Callable, Iterable
from typing import Any

import dspy
import pydantic
import typing_extensions
from pydantic import BaseModel

from po_optimizer.persistence.codec.annotations import (
    NAMES,
    encode_annotation,
)
from po_optimizer.persistence.codec.fields import (
    encode_field,
)
from po_optimizer.persistence.codec.imports import (
    DATA_PACKAGES,
    EXACT,
    KINDS,
    class_reference,
    import_path,
)
from po_optimizer.persistence.codec.rebuilt_classes import (
    CONFIG,
    ENUM_BASES,
    MIXINS,
    CodelessModel,
)
from po_optimizer.persistence.codec.values import (
    Encoder,
    encodes,
)

Node = dict[str, Any]

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
    with encoder.having(strict=False):
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
        for key, kind in CONFIG.items()
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
    base = next(n for n, b in reversed(ENUM_BASES.items()) if issubclass(found, b))
    mixin = next((n for n, kind in MIXINS.items() if issubclass(found, kind)), None)
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
