"""Type annotations as data: what stands behind the colon of a field.

A builtin or typing name is a string; a generic is an object; a class that the
program brings along is {"type": id}, defined in the document's table of types.
"""

import collections.abc
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import pathlib
import re
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

import pydantic
import typing_extensions

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence.codec.values import (
    Decoder,
    Encoder,
    Node,
    class_path,
    decodes,
    encodes,
)

_CLASSES: tuple[type, ...] = (
    *(str, int, float, bool, complex, bytes, bytearray, object, type),
    *(list, dict, tuple, set, frozenset, range, collections.deque),
    *(collections.OrderedDict, collections.defaultdict, collections.Counter),
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    *(decimal.Decimal, fractions.Fraction, uuid.UUID),
    *(pathlib.Path, pathlib.PurePath, pathlib.PurePosixPath, pathlib.PosixPath),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network),
    *(ipaddress.IPv6Network, ipaddress.IPv4Interface, ipaddress.IPv6Interface),
    *(re.Pattern, zoneinfo.ZoneInfo, datetime.timezone, datetime.tzinfo),
    *(enum.Enum, enum.IntEnum, enum.Flag),
)
_PYDANTIC = (
    *("AmqpDsn", "AnyHttpUrl", "AnyUrl", "AnyWebsocketUrl", "AwareDatetime"),
    *("BaseModel", "ByteSize", "ClickHouseDsn", "CockroachDsn", "EmailStr"),
    *("FileUrl", "FtpUrl", "FutureDate", "FutureDatetime", "HttpUrl"),
    *("IPvAnyAddress", "IPvAnyInterface", "IPvAnyNetwork", "Json", "JsonValue"),
    *("KafkaDsn", "MariaDBDsn", "MongoDsn", "MySQLDsn", "NaiveDatetime"),
    *("NameEmail", "NatsDsn", "PastDate", "PastDatetime", "PaymentCardNumber"),
    *("PostgresDsn", "RedisDsn", "Secret", "SecretBytes", "SecretStr"),
    *("SnowflakeDsn", "WebsocketUrl"),
)
"""Pydantic's types that take or give data; not `ImportString`, which imports."""
_ABSTRACT = {
    f"abc.{name}": getattr(collections.abc, name) for name in collections.abc.__all__
}
_SPECIAL = (
    *("Any", "List", "Dict", "Tuple", "Set", "FrozenSet", "Type", "Deque", "Text"),
    *("Union", "Callable", "Literal", "Sequence", "Mapping", "Iterable", "Collection"),
    *("MutableMapping", "MutableSequence", "Iterator", "DefaultDict", "Hashable"),
    *("Optional", "OrderedDict", "Counter", "AbstractSet", "Generator", "Awaitable"),
)
MAX_ARGUMENTS = 512  # of a union or a generic; pydantic takes long over more
BY_NAME: dict[str, Any] = {
    **{kind.__name__: kind for kind in _CLASSES},
    **_ABSTRACT,
    **{f"typing.{name}": getattr(typing, name) for name in _SPECIAL},
    **{
        f"pydantic.{n}": getattr(pydantic, n) for n in _PYDANTIC if hasattr(pydantic, n)
    },
    "None": type(None),
    "...": ...,
}
NAMES = {id(item): name for name, item in reversed(BY_NAME.items())}
_QUALIFIERS = {
    name.lower(): getattr(typing_extensions, name)
    for name in ("Required", "NotRequired", "ReadOnly")
}
_QUALIFIER_NAMES: dict[Any, str] = {
    **{getattr(typing, item.__name__, item): n for n, item in _QUALIFIERS.items()},
    **{item: name for name, item in _QUALIFIERS.items()},
}


def encode_annotation(encoder: Encoder, annotation: Any, where: str) -> Any:
    """An annotation as data."""
    if annotation is None:
        return None  # as opposed to NoneType; both occur in annotations
    if id(annotation) in NAMES:
        return NAMES[id(annotation)]
    if isinstance(annotation, typing.TypeVar):
        return {"typevar": annotation.__name__}
    if isinstance(annotation, typing_extensions.TypeAliasType):
        return {"alias": _alias_id(encoder, annotation, where)}
    origin = typing.get_origin(annotation)
    if origin is None or hasattr(annotation, "__pydantic_generic_metadata__"):
        with encoder.having(annotating=True):
            return encoder.encode(annotation, where)["v"]
    return _encode_generic(encoder, annotation, origin, where)


def _alias_id(encoder: Encoder, alias: Any, where: str) -> str:
    """The id of a named alias, which may name itself, in the table of types."""
    if alias not in encoder.type_ids:
        type_id = f"{alias.__name__}#{len(encoder.types)}"
        encoder.type_ids[alias] = type_id
        node: Node = {"kind": "alias", "path": "", "name": alias.__name__}
        encoder.types[type_id] = node
        node["value"] = encode_annotation(encoder, alias.__value__, where)
    return encoder.type_ids[alias]


def _encode_generic(encoder: Encoder, annotation: Any, origin: Any, where: str) -> Any:
    args = typing.get_args(annotation)
    if origin is typing.Literal:
        return {"literal": [encoder.encode(value, where) for value in args]}
    if origin is typing.Annotated:
        inner = encode_annotation(encoder, args[0], where)
        metadata = [encode_metadata(encoder, item, where) for item in args[1:]]
        return {"annotated": inner, "metadata": metadata}
    parts = _encode_args(encoder, args, where)
    if origin is types.UnionType:
        return {"or": parts}
    if origin in _QUALIFIER_NAMES:
        return {_QUALIFIER_NAMES[origin]: parts[0]}
    alias = f"typing.{getattr(annotation, '_name', None)}"
    if origin is typing.Union:  # whose name may be Optional
        alias = "typing.Union"
    elif alias not in BY_NAME or isinstance(annotation, types.GenericAlias):
        alias = encode_annotation(encoder, origin, where)
    return {"of": alias, "args": parts}


def _encode_args(encoder: Encoder, args: tuple[Any, ...], where: str) -> list[Any]:
    return [
        {"list": _encode_args(encoder, tuple(arg), where)}
        if isinstance(arg, list)  # the arguments of a Callable
        else encode_annotation(encoder, arg, where)
        for arg in args
    ]


def encode_metadata(encoder: Encoder, item: Any, where: str) -> Any:
    """Metadata of a type as data; validators and the like are only named."""
    with encoder.having(strict=False):
        node = encoder.encode(item, where)
    if isinstance(node, dict) and node.get("$") in ("module", "lm", "dataclass"):
        return encoder.leave_out(where, "metadata", type(item).__name__)
    return node


def decode_annotation(decoder: Decoder, node: Any) -> Any:
    """The annotation of a node."""
    if node is None:
        return None
    if isinstance(node, str) and node in BY_NAME:
        return BY_NAME[node]
    build = _BUILDERS.get(next(iter(node))) if isinstance(node, dict) and node else None
    if build is None:
        raise DamagedArtifactError("annotation", f"{node!r:.80}")
    with decoder.level():
        return build(decoder, node)


def _args(decoder: Decoder, nodes: list[Any]) -> tuple[Any, ...]:
    if len(nodes) > MAX_ARGUMENTS:
        raise DamagedArtifactError("annotation", f"over {MAX_ARGUMENTS} arguments")
    return tuple(
        list(_args(decoder, node["list"]))
        if isinstance(node, dict) and "list" in node
        else decode_annotation(decoder, node)
        for node in nodes
    )


def _or(left: Any, right: Any) -> Any:
    try:
        return left | right
    except TypeError:  # a forward reference of a class that is being built
        return typing.Union[left, right]  # noqa: UP007


def decode_metadata(decoder: Decoder, node: Any) -> Any:
    """Metadata of a type: constraints and texts, no code."""
    tags = ("constraint", "field", "metadata", "missing", "type", "validator")
    if isinstance(node, dict) and node.get("$", "field") not in (*tags, "undefined"):
        raise DamagedArtifactError("metadata", f"{node!r:.80}")
    return decoder.decode(node)


def _annotated(decoder: Decoder, node: Node) -> Any:
    inner = decode_annotation(decoder, node["annotated"])
    metadata = (decode_metadata(decoder, item) for item in node["metadata"])
    return typing.Annotated[(inner, *metadata)]


def _literal(decoder: Decoder, node: Node) -> Any:
    if not node["literal"]:  # pydantic would meet it with an AssertionError
        raise DamagedArtifactError("annotation", f"{node!r:.80}")
    return typing.Literal[tuple(map(decoder.decode, node["literal"]))]


def _qualified(decoder: Decoder, node: Node) -> Any:
    name, inner = next(iter(node.items()))
    return _QUALIFIERS[name][decode_annotation(decoder, inner)]


_BUILDERS: dict[str, Callable[[Decoder, Node], Any]] = {
    "literal": _literal,
    "or": lambda dec, node: functools.reduce(_or, _args(dec, node["or"])),
    "of": lambda dec, node: decode_annotation(dec, node["of"])[
        _args(dec, node["args"])
    ],
    "annotated": _annotated,
    **dict.fromkeys(_QUALIFIERS, _qualified),
    "alias": lambda dec, node: dec.decode({"$": "class", "id": node["alias"]}),
    "typevar": lambda dec, node: dec.type_variable(node["typevar"]),
    "type": lambda dec, node: dec.decode({"$": "class", "id": node["type"]}),
}


@encodes(
    *("types.GenericAlias", class_path(type(int | str)), "typing.TypeVar"),
    *("typing._GenericAlias+", "typing._SpecialForm+", "typing._SpecialGenericAlias+"),
)
def _encode_type_value(encoder: Encoder, value: Any, where: str) -> Any:
    """An annotation that is used as a value."""
    return {"$": "type", "v": encode_annotation(encoder, value, where)}


@decodes("type")
def _decode_type_value(decoder: Decoder, node: Node, _donor: Any) -> Any:
    return decode_annotation(decoder, node["v"])
