"""Type annotations as data: what stands behind the colon of a field.

A builtin or typing name is a string; a generic is an object; a class that the
program brings along is {"type": id}, defined in the document's table of types.
"""

import collections.abc
import datetime
import decimal
import fractions
import pathlib
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any

import typing_extensions

from po_optimizer.errors import DamagedArtifactError, NotStorableError
from po_optimizer.persistence.allowlist import import_path
from po_optimizer.persistence.values import Decoder, Encoder, decodes, encodes

_CLASSES: tuple[type, ...] = (
    *(str, int, float, bool, complex, bytes, bytearray, object, type),
    *(list, dict, tuple, set, frozenset, range, collections.deque),
    *(collections.OrderedDict, collections.defaultdict, collections.Counter),
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    *(decimal.Decimal, fractions.Fraction, uuid.UUID),
    *(pathlib.Path, pathlib.PurePath, pathlib.PurePosixPath, pathlib.PosixPath),
)
_ABSTRACT = {
    f"abc.{name}": getattr(collections.abc, name) for name in collections.abc.__all__
}
_SPECIAL = (
    "Any",
    "List",
    "Dict",
    "Tuple",
    "Set",
    "FrozenSet",
    "Type",
    "Union",
    "Optional",
    "Sequence",
    "Mapping",
    "Iterable",
    "Callable",
    "Literal",
    "Hashable",
    "Text",
    "Final",
    "ClassVar",
    "Deque",
    "MutableMapping",
    "MutableSequence",
    "Collection",
    "Iterator",
    "DefaultDict",
    "Self",
)
BY_NAME: dict[str, Any] = {
    **{kind.__name__: kind for kind in _CLASSES},
    **_ABSTRACT,
    **{f"typing.{n}": getattr(typing, n) for n in _SPECIAL if hasattr(typing, n)},
    "None": type(None),
    "...": ...,
}
NAMES = {id(found): name for name, found in reversed(BY_NAME.items())}
_WRAPPERS: dict[Any, str] = (
    {
        typing.Required: "required",
        typing.NotRequired: "notrequired",
    }
    if hasattr(typing, "Required")
    else {}
)
_WRAPPERS |= {
    typing_extensions.Required: "required",
    typing_extensions.NotRequired: "notrequired",
}


def encode_annotation(encoder: Encoder, annotation: Any, where: str) -> Any:
    """An annotation as data.

    Raises:
        NotStorableError: It is or contains something that cannot be written.
    """
    if annotation is None:
        return None  # as opposed to NoneType; both occur in annotations
    name = NAMES.get(id(annotation))
    if name is not None:
        return name
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None or hasattr(annotation, "__pydantic_generic_metadata__"):
        return _encode_leaf(encoder, annotation, where)
    if origin is typing.Literal:
        return {"literal": [encoder.encode(value, where) for value in args]}
    if origin is typing.Annotated:
        inner = encode_annotation(encoder, args[0], where)
        extra = [encode_constraint(encoder, item, where) for item in args[1:]]
        return {"annotated": inner, "metadata": extra}
    parts = _encode_args(encoder, args, where)
    if origin is types.UnionType:
        return {"or": parts}
    if origin in _WRAPPERS:
        return {_WRAPPERS[origin]: parts[0]}
    if isinstance(annotation, types.GenericAlias):
        return {"of": encode_annotation(encoder, origin, where), "args": parts}
    alias = "Union" if origin is typing.Union else getattr(annotation, "_name", None)
    if alias and f"typing.{alias}" in BY_NAME:
        if alias == "Optional":  # Python 3.10-3.13 name a Union with None so
            alias = "Union"
        return {"of": f"typing.{alias}", "args": parts}
    return {"of": encode_annotation(encoder, origin, where), "args": parts}


def _encode_args(encoder: Encoder, args: tuple[Any, ...], where: str) -> list[Any]:
    return [
        {"list": _encode_args(encoder, tuple(arg), where)}
        if isinstance(arg, list)  # the arguments of a Callable
        else encode_annotation(encoder, arg, where)
        for arg in args
    ]


def _encode_leaf(encoder: Encoder, annotation: Any, where: str) -> Any:
    from po_optimizer.persistence.classes import encode_class  # noqa: PLC0415 mutual

    if isinstance(annotation, typing.TypeVar):
        return {"typevar": annotation.__name__}
    return {"type": encode_class(encoder, annotation, where)}


def decode_annotation(decoder: Decoder, node: Any) -> Any:
    """The annotation of a node.

    Raises:
        DamagedArtifactError: There is no such annotation.
    """
    if node is None:
        return None
    if isinstance(node, str) and node in BY_NAME:
        return BY_NAME[node]
    if not isinstance(node, dict) or not node:
        raise DamagedArtifactError("annotation", f"{node!r:.80}")
    build = _BUILDERS.get(next(iter(node)))
    if build is None:
        raise DamagedArtifactError("annotation", f"{next(iter(node))!r:.80}")
    return build(decoder, node)


def _args(decoder: Decoder, nodes: list[Any]) -> tuple[Any, ...]:
    return tuple(
        list(_args(decoder, node["list"]))
        if isinstance(node, dict) and "list" in node
        else decode_annotation(decoder, node)
        for node in nodes
    )


def _union(decoder: Decoder, node: dict[str, Any]) -> Any:
    found, *others = _args(decoder, node["or"])
    for other in others:
        try:
            found = found | other
        except TypeError:  # a forward reference of a class that is being built
            found = typing.Union[found, other]  # noqa: UP007
    return found


def _generic(decoder: Decoder, node: dict[str, Any]) -> Any:
    origin = decode_annotation(decoder, node["of"])
    args = _args(decoder, node["args"])
    if origin is typing.Callable or origin is collections.abc.Callable:
        return origin[args[:-1] if args[:1] != (...,) else ..., args[-1]]
    return origin[args]


def _annotated(decoder: Decoder, node: dict[str, Any]) -> Any:
    inner = decode_annotation(decoder, node["annotated"])
    metadata = [decode_constraint(decoder, item) for item in node["metadata"]]
    return typing.Annotated[(inner, *metadata)]


_BUILDERS: dict[str, Callable[[Decoder, dict[str, Any]], Any]] = {
    "literal": lambda dec, node: typing.Literal[
        tuple(dec.decode(value) for value in node["literal"])
    ],
    "or": _union,
    "of": _generic,
    "annotated": _annotated,
    "required": lambda dec, node: typing_extensions.Required[
        decode_annotation(dec, node["required"])
    ],
    "notrequired": lambda dec, node: typing_extensions.NotRequired[
        decode_annotation(dec, node["notrequired"])
    ],
    "typevar": lambda dec, node: type_variable(dec, node["typevar"]),
    "type": lambda dec, node: _class(dec, node["type"]),
}


def type_variable(decoder: Decoder, name: str) -> Any:
    """The one type variable of that name in a document."""
    return decoder.type_variables.setdefault(name, typing.TypeVar(name))  # type: ignore[misc]


def _class(decoder: Decoder, type_id: str) -> Any:
    from po_optimizer.persistence.classes import decode_class  # noqa: PLC0415 mutual

    return decode_class(decoder, type_id)


@encodes(
    "types.GenericAlias",
    "types.UnionType",
    "typing._GenericAlias+",
    "typing._SpecialForm+",
    "typing._SpecialGenericAlias+",
    "typing.TypeVar",
    "typing.NewType",
    "builtins.type+",
    "typing._AnyMeta",
    "typing.Union",
)
def _encode_type_value(encoder: Encoder, value: Any, where: str) -> Any:
    try:
        return {"$": "type", "v": encode_annotation(encoder, value, where)}
    except NotStorableError:
        if encoder.strict:
            raise
        return encoder.leave_out(where, "function", import_path(value))


@decodes("type")
def _decode_type_value(decoder: Decoder, node: dict[str, Any], _donor: Any) -> Any:
    return decode_annotation(decoder, node["v"])


def encode_constraint(encoder: Encoder, item: Any, where: str) -> Any:
    """One item of an annotation's or a field's metadata, as data."""
    from po_optimizer.persistence.fields import encode_metadata  # noqa: PLC0415 mutual

    return encode_metadata(encoder, item, where)


def decode_constraint(decoder: Decoder, node: Any) -> Any:
    """The metadata item of a node."""
    from po_optimizer.persistence.fields import decode_metadata  # noqa: PLC0415 mutual

    return decode_metadata(decoder, node)
