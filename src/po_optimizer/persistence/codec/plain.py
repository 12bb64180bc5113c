"""Tags of the standard library's value types and of numpy's."""

import base64
import collections
import datetime
import decimal
import fractions
import ipaddress
import math
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
    Decoder,
    Encoder,
    Node,
    class_path,
    decodes,
    encodes,
    is_unicode,
    part,
)

Write = Callable[[Any], Any]
Read = Callable[[Any], Any]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _float_text(value: float) -> str:
    sign = "-" if math.isnan(value) and math.copysign(1, value) < 0 else ""
    return f"{sign}{value!r}"


def _bounds(value: Any) -> list[Any]:
    return [value.start, value.stop, value.step]


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
_TEXTS: dict[str, tuple[type, Write, Read]] = {
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
    "float": (float, _float_text, float),
}
"""Types whose values are one text, with how it is written and read."""
_TEXT_TAGS = {kind: tag for tag, (kind, _, _) in _TEXTS.items()}
_ITEMS: dict[str, tuple[type, Write, Read]] = {
    **{kind.__name__: (kind, list, kind) for kind in (tuple, set, frozenset)},
    "deque": (collections.deque, list, collections.deque),
    "range": (range, _bounds, lambda items: range(*items)),
    "slice": (slice, _bounds, lambda items: slice(*items)),
    "timedelta": (
        datetime.timedelta,
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda items: datetime.timedelta(*items),
    ),
}
"""Types whose values are a list of others."""
_ITEM_TAGS = {kind: tag for tag, (kind, _, _) in _ITEMS.items()}

_PAIRS: dict[str, type] = {
    "dict": dict,
    "ordereddict": collections.OrderedDict,
    "counter": collections.Counter,
    "namespace": types.SimpleNamespace,
}
_PAIR_TAGS = {kind: tag for tag, kind in _PAIRS.items()}
_SINGLETONS: dict[str, Any] = {
    "ellipsis": ...,
    "notimplemented": NotImplemented,
    "undefined": PydanticUndefined,
}
_NUMPY_KINDS = "biufcSUmM"  # no objects: those would be pickles


@encodes(*map(class_path, _TEXT_TAGS))
def _encode_text(_encoder: Encoder, value: Any, _where: str) -> Node:
    tag = _TEXT_TAGS[type(value)]
    return {"$": tag, "v": _TEXTS[tag][1](value)}


@decodes(*_TEXTS)
def _decode_text(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    return _TEXTS[node["$"]][2](_text(node["v"]))


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


@encodes("pydantic.types.ByteSize")
def _encode_byte_size(_encoder: Encoder, value: Any, _where: str) -> Node:
    return {"$": "bytesize", "v": int(value)}


@decodes("bytesize")
def _decode_byte_size(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    return pydantic.ByteSize(node["v"])


@encodes("re.Pattern")
def _encode_pattern(_encoder: Encoder, value: Any, _where: str) -> Node:
    if isinstance(value.pattern, bytes):
        return _encoder.leave_out(_where, "object", "re.Pattern of bytes")
    return {"$": "pattern", "v": value.pattern, "flags": value.flags}


@decodes("pattern")
def _decode_pattern(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    return re.compile(_text(node["v"]), node["flags"])


@encodes("builtins.list")
def _encode_list(encoder: Encoder, value: list[Any], where: str) -> list[Any]:
    return [encoder.encode(v, f"{where}[{i}]") for i, v in enumerate(value)]


@encodes(*map(class_path, _ITEM_TAGS))
def _encode_items(encoder: Encoder, value: Any, where: str) -> Node:
    tag = _ITEM_TAGS[type(value)]
    items = _encode_list(encoder, _ITEMS[tag][1](value), where)
    if isinstance(value, set | frozenset):  # its order is not the program's
        items.sort(key=fmt.dump)
    node: Node = {"$": tag, "items": items}
    if isinstance(value, collections.deque) and value.maxlen is not None:
        node["maxlen"] = value.maxlen
    return node


@decodes(*_ITEMS)
def _decode_items(decoder: Decoder, node: Node, donor: Any) -> Any:
    nodes = node["items"]
    items = [decoder.decode(item, part(donor, i)) for i, item in enumerate(nodes)]
    if "maxlen" in node:
        return collections.deque(items, maxlen=node["maxlen"])
    return _ITEMS[node["$"]][2](items)


@encodes(*map(class_path, _PAIR_TAGS))
def _encode_pairs(encoder: Encoder, value: Any, where: str) -> Any:
    kind = type(value)
    items = vars(value) if kind is types.SimpleNamespace else value
    if kind is dict and "$" not in items and all(map(_is_plain_key, items)):
        return {
            k: encoder.encode_member(k, v, f"{where}[{k!r}]") for k, v in items.items()
        }
    pairs = [
        [encoder.encode(k, where), encoder.encode_member(k, v, f"{where}[{k!r}]")]
        for k, v in items.items()
    ]
    return {"$": _PAIR_TAGS[kind], "items": pairs}


def _is_plain_key(key: Any) -> bool:
    return type(key) is str and is_unicode(key)


@decodes(*_PAIRS)
def _decode_pairs(decoder: Decoder, node: Node, donor: Any) -> Any:
    keys = [decoder.decode(key) for key, _ in node["items"]]
    values = [
        decoder.decode(v, part(donor, k))
        for k, (_, v) in zip(keys, node["items"], strict=True)
    ]
    pairs = dict(zip(keys, values, strict=True))
    if node["$"] == "namespace":
        return types.SimpleNamespace(**pairs)
    return _PAIRS[node["$"]](pairs)


@encodes("collections.defaultdict")
def _encode_defaultdict(encoder: Encoder, value: Any, where: str) -> Node:
    factory = encoder.encode(value.default_factory, f"{where}.default_factory")
    items = _encode_pairs(encoder, collections.OrderedDict(value), where)["items"]
    return {"$": "defaultdict", "factory": factory, "items": items}


@decodes("defaultdict")
def _decode_defaultdict(decoder: Decoder, node: Node, donor: Any) -> Any:
    factory = decoder.decode(node["factory"])
    if factory not in (None, int, float, str, bool, list, dict, set, tuple):
        raise DamagedArtifactError("defaultdict", f"factory {factory!r}")
    items = _decode_pairs(decoder, {"$": "dict", "items": node["items"]}, donor)
    return collections.defaultdict(factory, items)


@encodes(*(class_path(type(value)) for value in _SINGLETONS.values()))
def _encode_singleton(_encoder: Encoder, value: Any, _where: str) -> Node:
    return {"$": next(tag for tag, v in _SINGLETONS.items() if v is value)}


@decodes(*_SINGLETONS)
def _decode_singleton(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    return _SINGLETONS[node["$"]]


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


@encodes("datetime.timezone")
def _encode_timezone(_encoder: Encoder, value: Any, _where: str) -> Node:
    offset, *name = value.__getinitargs__()
    items = _ITEMS["timedelta"][1](offset)
    return {"$": "timezone", "items": items, "name": name[0] if name else None}


@decodes("timezone")
def _decode_timezone(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    offset, name = datetime.timedelta(*node["items"]), node["name"]
    return datetime.timezone(offset, *([] if name is None else [name]))


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
    raw = _from_base64(_text(node["v"]))
    if "shape" not in node:
        return np.frombuffer(raw, dtype)[0] if raw else dtype.type()
    return np.frombuffer(raw, dtype).reshape(node["shape"]).copy()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise DamagedArtifactError("v", f"text expected, {type(value).__name__} found")
    return value
