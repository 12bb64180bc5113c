"""Tags of the standard library's value types and of numpy's."""

import base64
import collections
import datetime
import decimal
import fractions
import ipaddress
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
from pydantic_core import PydanticUndefined

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.annotations import BY_NAME
from po_optimizer.persistence.codec.values import (
    ABSENT,
    Decoder,
    Encoder,
    Node,
    are_texts,
    class_path,
    decodes,
    encodes,
    part,
)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _from_base64(text: str) -> bytes:
    return base64.b64decode(_text(text), validate=True)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise DamagedArtifactError("v", f"text expected, {type(value).__name__} found")
    return value


def _fraction(text: str) -> fractions.Fraction:
    if not text.strip("-").replace("/", "").isdecimal():
        raise DamagedArtifactError("fraction", text[:40])  # an exponent takes forever
    return fractions.Fraction(text)


def _zone(name: str) -> zoneinfo.ZoneInfo:
    """A zone that there is: of any other name Python makes an import."""
    named = _ZONE.fullmatch(name)
    listed = named and any(Path(home, name).is_file() for home in zoneinfo.TZPATH)
    if not listed and not (named and name in zoneinfo.available_timezones()):
        raise DamagedArtifactError("zone", f"{name!r:.80}")
    return zoneinfo.ZoneInfo(name)


_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
Form = tuple[type, Callable[[Any], Any], Callable[[Any], Any]]
_TEXTS: dict[str, Form] = {
    **{
        tag: (kind, str, kind)
        for tag, kind in (
            *(("decimal", decimal.Decimal), ("uuid", uuid.UUID), ("complex", complex)),
            *(("posixpath", pathlib.PosixPath), ("purepath", pathlib.PurePosixPath)),
            ("windowspath", pathlib.PureWindowsPath),
            *(("ipv4", ipaddress.IPv4Address), ("ipv6", ipaddress.IPv6Address)),
            ("ipv4network", ipaddress.IPv4Network),
            ("ipv6network", ipaddress.IPv6Network),
            ("ipv4interface", ipaddress.IPv4Interface),
            ("ipv6interface", ipaddress.IPv6Interface),
        )
    },
    "fraction": (fractions.Fraction, str, _fraction),
    "zone": (zoneinfo.ZoneInfo, str, _zone),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "bytes": (bytes, _base64, _from_base64),
    "bytearray": (bytearray, _base64, lambda text: bytearray(_from_base64(text))),
    "str": (
        str,
        lambda value: _base64(value.encode("utf-8", "surrogatepass")),
        lambda text: _from_base64(text).decode("utf-8", "surrogatepass"),
    ),
    "int": (int, hex, lambda text: int(text, 16)),
    "float": (float, repr, float),
}
"""Types whose values are one text, with how it is written and read."""


def _bounds(value: Any) -> list[Any]:
    return [value.start, value.stop, value.step]


def _days(value: datetime.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_ITEMS: dict[str, Form] = {
    **{kind.__name__: (kind, list, kind) for kind in (tuple, set, frozenset)},
    "deque": (collections.deque, list, collections.deque),
    "range": (range, _bounds, lambda items: range(*items)),
    "slice": (slice, _bounds, lambda items: slice(*items)),
    "timedelta": (datetime.timedelta, _days, lambda it: datetime.timedelta(*it)),
}
"""Types whose values are a list of others."""
_PAIRS: dict[str, type] = {
    **{"dict": dict, "ordereddict": collections.OrderedDict},
    **{"counter": collections.Counter, "namespace": types.SimpleNamespace},
}
_TAGS: dict[type, str] = {
    **{form[0]: tag for tag, form in (*_TEXTS.items(), *_ITEMS.items())},
    **{kind: tag for tag, kind in _PAIRS.items()},
}
_NUMPY_KINDS = "biufcSUmM"  # no objects: those would be pickles


def _simple(
    tag: str, path: str, write: Callable[[Any], Node], read: Callable[[Node], Any]
) -> None:
    """Registers values that need neither the encoder nor the decoder."""
    encodes(path)(lambda _encoder, value, _where: {"$": tag, **write(value)})
    decodes(tag)(lambda _decoder, node, _donor: read(node))


def _text_form(tag: str, kind: type, write: Any, read: Any) -> None:
    path = class_path(kind)
    _simple(tag, path, lambda v: {"v": write(v)}, lambda n: read(_text(n["v"])))


def _singleton(tag: str, value: Any) -> None:
    _simple(tag, class_path(type(value)), lambda _: {}, lambda _: value)


def _timezone(node: Node) -> datetime.timezone:
    offset, name = datetime.timedelta(*node["items"]), node["name"]
    return datetime.timezone(offset, *([] if name is None else [name]))


def _timezone_node(zone: Any) -> Node:
    offset, *name = zone.__getinitargs__()
    return {"items": _days(offset), "name": name[0] if name else None}


for _tag, _form in _TEXTS.items():
    _text_form(_tag, *_form)
for _tag, _value in (
    *(("ellipsis", ...), ("notimplemented", NotImplemented)),
    ("undefined", PydanticUndefined),
):
    _singleton(_tag, _value)
_simple("timezone", "datetime.timezone", _timezone_node, _timezone)
_simple(
    "bytesize",
    "pydantic.types.ByteSize",
    lambda size: {"v": int(size)},
    lambda node: pydantic.ByteSize(node["v"]),
)


@encodes("pydantic.networks._BaseUrl+", "pydantic.networks._BaseMultiHostUrl+")
def _encode_url(encoder: Encoder, value: Any, where: str) -> Node:
    kind = f"pydantic.{type(value).__name__}"
    if BY_NAME.get(kind) is not type(value):
        return encoder.leave_out(where, "object", class_path(type(value)))
    return {"$": "url", "kind": kind, "v": str(value)}


@decodes("url")
def _decode_url(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    kind = BY_NAME.get(node["kind"])
    if not isinstance(kind, type) or kind.__module__ != "pydantic.networks":
        raise DamagedArtifactError("url", f"{node['kind']!r:.80}")
    return kind(_text(node["v"]))


@encodes("re.Pattern")
def _encode_pattern(encoder: Encoder, value: Any, where: str) -> Node:
    if isinstance(value.pattern, bytes):
        return encoder.leave_out(where, "object", "re.Pattern of bytes")
    return {"$": "pattern", "v": value.pattern, "flags": value.flags}


@decodes("pattern")
def _decode_pattern(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    return re.compile(_text(node["v"]), node["flags"])


@encodes("builtins.list")
def _encode_list(encoder: Encoder, value: list[Any], where: str) -> list[Any]:
    return [encoder.encode(v, f"{where}[{i}]") for i, v in enumerate(value)]


@encodes(*(class_path(form[0]) for form in _ITEMS.values()))
def _encode_items(encoder: Encoder, value: Any, where: str) -> Node:
    tag = _TAGS[type(value)]
    items = _encode_list(encoder, _ITEMS[tag][1](value), where)
    if isinstance(value, set | frozenset):  # its order is not the program's
        items.sort(key=fmt.dump)
    maxlen = getattr(value, "maxlen", None)
    return {"$": tag, "items": items, **({} if maxlen is None else {"maxlen": maxlen})}


@decodes(*_ITEMS)
def _decode_items(decoder: Decoder, node: Node, donor: Any) -> Any:
    nodes = enumerate(node["items"])
    items = [decoder.decode(item, part(donor, i)) for i, item in nodes]
    if "maxlen" in node:
        return collections.deque(items, maxlen=node["maxlen"])
    return _ITEMS[node["$"]][2](items)


@encodes(*map(class_path, _PAIRS.values()))
def _encode_pairs(encoder: Encoder, value: Any, where: str) -> Any:
    kind = type(value)
    items = vars(value) if kind is types.SimpleNamespace else value
    if kind is dict and "$" not in items and are_texts(items):
        return {
            k: encoder.encode_member(k, v, f"{where}[{k!r}]") for k, v in items.items()
        }
    pairs = [
        [encoder.encode(k, where), encoder.encode_member(k, v, f"{where}[{k!r}]")]
        for k, v in items.items()
    ]
    return {"$": _TAGS.get(kind, ""), "items": pairs}


@decodes(*_PAIRS)
def _decode_pairs(decoder: Decoder, node: Node, donor: Any) -> Any:
    pairs = {}
    for key_node, value_node in node["items"]:
        key = decoder.decode(key_node)
        pairs[key] = decoder.decode(value_node, part(donor, key))
    if node["$"] == "namespace":
        return types.SimpleNamespace(**pairs)
    return _PAIRS.get(node["$"], dict)(pairs)


_FACTORIES = (None, int, float, str, bool, list, dict, set, tuple)


@encodes("collections.defaultdict")
def _encode_defaultdict(encoder: Encoder, value: Any, where: str) -> Node:
    factory = encoder.encode(value.default_factory, f"{where}.default_factory")
    items = _encode_pairs(encoder, value, where)["items"]
    return {"$": "defaultdict", "factory": factory, "items": items}


@decodes("defaultdict")
def _decode_defaultdict(decoder: Decoder, node: Node, donor: Any) -> Any:
    given = getattr(donor, "default_factory", ABSENT)
    factory = decoder.decode(node["factory"], given)
    is_named = isinstance(node["factory"], dict) and node["factory"]["$"] == "missing"
    if not is_named and factory not in _FACTORIES:
        raise DamagedArtifactError("defaultdict", f"factory {factory!r}")
    return collections.defaultdict(factory, _decode_pairs(decoder, node, donor))


@encodes("datetime.datetime", "datetime.time")
def _encode_time(encoder: Encoder, value: Any, where: str) -> Node:
    text = value.replace(tzinfo=None).isoformat()
    node: Node = {"$": type(value).__name__, "v": text}
    if value.fold:
        node["fold"] = value.fold
    if value.tzinfo is not None:
        node["tz"] = encoder.encode(value.tzinfo, f"{where}.tzinfo")
    return node


@decodes("datetime", "time")
def _decode_time(decoder: Decoder, node: Node, _donor: Any) -> Any:
    value: Any = getattr(datetime, node["$"]).fromisoformat(_text(node["v"]))
    zone = decoder.decode(node.get("tz"))
    return value.replace(tzinfo=zone, fold=node.get("fold", 0))


@encodes("numpy.generic+", "numpy.ndarray")
def _encode_numpy(encoder: Encoder, value: Any, where: str) -> Node:
    if value.dtype.kind not in _NUMPY_KINDS:
        return encoder.leave_out(where, "object", f"numpy array of {value.dtype}")
    data = _base64(value.tobytes())
    node: Node = {"$": "numpy", "dtype": value.dtype.str, "v": data}
    if type(value).__name__ == "ndarray":
        node["shape"] = list(value.shape)
    return node


@decodes("numpy")
def _decode_numpy(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    import numpy as np  # noqa: PLC0415 only documents that hold numpy need it

    dtype = np.dtype(_text(node["dtype"]))
    if dtype.kind not in _NUMPY_KINDS:
        raise DamagedArtifactError("numpy", f"dtype {dtype}")
    raw = _from_base64(node["v"])
    if "shape" not in node:
        return np.frombuffer(raw, dtype)[0] if raw else dtype.type()
    return np.frombuffer(raw, dtype).reshape(node["shape"]).copy()
