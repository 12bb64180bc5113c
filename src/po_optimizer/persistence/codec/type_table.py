"""The classes that a program's types name: a table of kinds, stored and made again.

A class of DSPy or pydantic is its path. Any other one is stored with its structure
too, so that a process without the defining module renders the same prompts. Its code
(validators, methods) is not data: it comes back only with the import. A class that may
not be imported is rebuilt: with the fields, types and texts of the saved one and none
of its code.
"""

import typing
from collections.abc import Callable
from typing import Any, ForwardRef

import dspy
import typing_extensions
from pydantic import BaseModel

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence.codec.annotations import (
    NAMES,
    decode_annotation,
    encode_annotation,
)
from po_optimizer.persistence.codec.imports import (
    DECISIONS,
    EXACT,
    KINDS,
    class_reference,
    import_path,
)
from po_optimizer.persistence.codec.values import (
    Decoder,
    Encoder,
    Node,
    decodes,
    encodes,
    placeholder,
)

Structure = Callable[[Encoder, Any, str], Node]
Rebuild = Callable[[Decoder, Node, str], Any]
_KINDS: dict[str, tuple[Structure | None, Rebuild]] = {}
"""By kind, what stands in a document for a class, and how it is made again."""
_STORED = ("enum", "model", "namedtuple", "dataclass", "typeddict")
_DECISIONS: Node = {name: getattr(dspy.experimental, name) for name in DECISIONS}
_MAX_MEMBERS = 10_000  # of an enum, fields of a class


def register(kind: str, structure: Structure | None, rebuild: Rebuild) -> None:
    """Adds a kind of class; of one without a structure its node says all."""
    _KINDS[kind] = structure, rebuild


def kind_of(item: Any) -> str | None:
    """What kind of class it is to a document; None for kinds that are not data."""
    if isinstance(item, typing.NewType):
        return "newtype"
    return next((kind for kind in _STORED if KINDS[kind](item)), None)


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
        structure: Any = _KINDS[kind][0]
        node.update(structure(encoder, item, f"{where}:{name}"))
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
    name, bracket, _ = getattr(item, "__name__", "").partition("[")
    if bracket and name in DECISIONS and item.__module__.startswith("dspy."):
        options = encoder.encode(_options(name, item), where)
        node.update(kind="decision", path="", of=name, options=options)
        return True
    if node["path"] in EXACT["code"]:
        node["kind"] = "known"
        return True
    return False


def _options(name: str, item: Any) -> Any:
    """What stands in the brackets of `Choice[...]`, `Noul[...]` or `Score[...]`."""
    criteria = item.criteria()
    if name == "Score":
        return tuple(criteria)
    values = typing.get_args(item.model_fields["value"].annotation)
    labels = [(v, str(v)) for v in values] or [(True, "true"), (False, "false")]
    return tuple((v, criteria[label]) for v, label in labels if label in criteria)


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
        item = decoder.imports.own_class(node["path"])
    if item is None:
        decoder.building[type_id] = f"_Type{len(decoder.building)}"
        with decoder.level():
            item = _KINDS[kind][1](decoder, node, type_id)
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
        is_model = isinstance(item, type) and issubclass(item, BaseModel)
        if is_model and not item.__pydantic_complete__:
            item.model_rebuild(force=True, _types_namespace=names)


def names_of(node: Node, parts: str) -> list[str]:
    """The names of a class's fields or members; a private one is refused."""
    names = [p["name"] if isinstance(p, dict) else p[0] for p in node[parts]]
    for name in [node["name"], *names]:
        private = name.startswith("_") and not (
            name == node["name"] and name[1:2] != "_"
        )
        if not name.isidentifier() or private:
            raise DamagedArtifactError("types", f"name {name!r:.80}")
    return names


def namespace_of(node: Node) -> Node:
    """Doc, module and name of a class."""
    module, _, qualname = node["path"].partition(":")
    names = {"__module__": module, "__qualname__": qualname}
    return {"__doc__": node.get("doc"), **names}


def renamed(item: Any, node: Node) -> Any:
    """The class, with doc, module and name of the saved one."""
    for name, value in namespace_of(node).items():
        setattr(item, name, value)
    return item


def _rebuild_newtype(decoder: Decoder, node: Node, _type_id: str) -> Any:
    make: Any = typing.NewType
    return renamed(make(node["name"], decode_annotation(decoder, node["base"])), node)


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
    return renamed(item, node)


def _rebuild_decision(decoder: Decoder, node: Node, _type_id: str) -> Any:
    return _DECISIONS[node["of"]][decoder.decode(node["options"])]


def class_of(decoder: Decoder, node: Node, kind: str) -> Any:
    """The class of an instance's node."""
    item = decode_class(decoder, node["type"])
    if not KINDS[kind](item):
        raise DamagedArtifactError("types", f"{node['type']!r:.80} is no {kind}")
    return item


decodes("class")(lambda decoder, node, _donor: decode_class(decoder, node["id"]))
register(
    "newtype",
    lambda encoder, item, where: {
        "name": item.__name__,
        "base": encode_annotation(encoder, item.__supertype__, where),
    },
    _rebuild_newtype,
)
register("opaque", lambda _enc, item, _where: {"name": item.__name__}, _rebuild_opaque)
register("generic", None, _rebuild_generic)
register("decision", None, _rebuild_decision)
register("alias", None, _rebuild_alias)
register("code", None, lambda _dec, node, _id: dspy.Code[str(node["language"])])
register("known", None, lambda _dec, node, _id: EXACT["code"][node["path"]])
