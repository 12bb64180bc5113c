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
    class_path,
    decodes,
    encodes,
    is_unicode,
    part,
)

Node = dict[str, Any]

_TEXT: dict[str, type] = {
    "decimal": decimal.Decimal,
    "fraction": fractions.Fraction,
    "uuid": uuid.UUID,
    "posixpath": pathlib.PosixPath,
    "purepath": pathlib.PurePosixPath,
    "windowspath": pathlib.PureWindowsPath,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "ipv4network": ipaddress.IPv4Network,
    "ipv6network": ipaddress.IPv6Network,
    "ipv4interface": ipaddress.IPv4Interface,
    "ipv6interface": ipaddress.IPv6Interface,
    "complex": complex,
    "zone": zoneinfo.ZoneInfo,
}
_TEXT_TAGS = {kind: tag for tag, kind in _TEXT.items()}

_ITEMS: dict[str, type] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": collections.deque,
}
_ITEM_TAGS = {kind: tag for tag, kind in _ITEMS.items()}

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
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_NUMPY_KINDS = "biufcSUmM"  # no objects: those would be pickles


@encodes(*map(class_path, _TEXT_TAGS))
def _encode_text(_encoder: Encoder, value: Any, _where: str) -> Node:
    return {"$": _TEXT_TAGS[type(value)], "v": str(value)}


@decodes(*_TEXT)
def _decode_text(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    text = _text(node["v"])
    if node["$"] == "zone":
        _check_zone(text)
    if node["$"] == "fraction" and not text.strip("-").replace("/", "").isdecimal():
        raise DamagedArtifactError("fraction", text[:40])  # an exponent takes forever
    return _TEXT[node["$"]](text)


def _check_zone(name: str) -> None:
    """Only zones that there are: of any other name Python makes an import.

    Raises:
        DamagedArtifactError: There is no such zone.
    """
    if _ZONE.fullmatch(name):
        if any(Path(folder, name).is_file() for folder in zoneinfo.TZPATH):
            return
        if name in zoneinfo.available_timezones():
            return
    raise DamagedArtifactError("zone", f"{name!r:.80}")


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


@encodes("builtins.str", "builtins.int", "builtins.float")
def _encode_beyond_json(_encoder: Encoder, value: Any, _where: str) -> Node:
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogatepass")
        return {"$": "str", "v": base64.b64encode(raw).decode()}
    if isinstance(value, int):
        return {"$": "int", "v": hex(value)}
    sign = "-" if math.isnan(value) and math.copysign(1, value) < 0 else ""
    return {"$": "float", "v": f"{sign}{value!r}"}


@decodes("str", "int", "float")
def _decode_beyond_json(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    text = _text(node["v"])
    if node["$"] == "str":
        return base64.b64decode(text, validate=True).decode("utf-8", "surrogatepass")
    return int(text, 16) if node["$"] == "int" else float(text)


@encodes("builtins.bytes", "builtins.bytearray")
def _encode_bytes(_encoder: Encoder, value: bytes, _where: str) -> Node:
    return {"$": type(value).__name__, "v": base64.b64encode(value).decode()}


@decodes("bytes", "bytearray")
def _decode_bytes(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    raw = base64.b64decode(_text(node["v"]), validate=True)
    return raw if node["$"] == "bytes" else bytearray(raw)


@encodes("builtins.list")
def _encode_list(encoder: Encoder, value: list[Any], where: str) -> list[Any]:
    return [encoder.encode(v, f"{where}[{i}]") for i, v in enumerate(value)]


@encodes(*map(class_path, _ITEM_TAGS))
def _encode_items(encoder: Encoder, value: Any, where: str) -> Node:
    items = [encoder.encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, set | frozenset):  # its order is not the program's
        items.sort(key=fmt.dump)
    node: Node = {"$": _ITEM_TAGS[type(value)], "items": items}
    if isinstance(value, collections.deque) and value.maxlen is not None:
        node["maxlen"] = value.maxlen
    return node


@decodes(*_ITEMS)
def _decode_items(decoder: Decoder, node: Node, donor: Any) -> Any:
    nodes = node["items"]
    items = [decoder.decode(item, part(donor, i)) for i, item in enumerate(nodes)]
    if "maxlen" in node:
        return collections.deque(items, maxlen=node["maxlen"])
    return _ITEMS[node["$"]](items)


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
    found = dict(zip(keys, values, strict=True))
    if node["$"] == "namespace":
        return types.SimpleNamespace(**found)
    return _PAIRS[node["$"]](found)


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


@encodes("builtins.range", "builtins.slice")
def _encode_range(encoder: Encoder, value: Any, where: str) -> Node:
    bounds = [value.start, value.stop, value.step]
    return {"$": type(value).__name__, "items": encoder.encode(bounds, where)}


@decodes("range", "slice")
def _decode_range(decoder: Decoder, node: Node, _donor: Any) -> Any:
    return (range if node["$"] == "range" else slice)(*decoder.decode(node["items"]))


@encodes(*(class_path(type(value)) for value in _SINGLETONS.values()))
def _encode_singleton(_encoder: Encoder, value: Any, _where: str) -> Node:
    return {"$": next(tag for tag, v in _SINGLETONS.items() if v is value)}


@decodes(*_SINGLETONS)
def _decode_singleton(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    return _SINGLETONS[node["$"]]


@encodes("datetime.date", "datetime.datetime", "datetime.time")
def _encode_time(encoder: Encoder, value: Any, where: str) -> Node:
    kind = type(value).__name__
    if kind == "date":
        return {"$": kind, "v": value.isoformat()}
    node: Node = {"$": kind, "v": value.replace(tzinfo=None).isoformat()}
    if value.fold:
        node["fold"] = value.fold
    if value.tzinfo is not None:
        node["tz"] = encoder.encode(value.tzinfo, f"{where}.tzinfo")
    return node


@decodes("date", "datetime", "time")
def _decode_time(decoder: Decoder, node: Node, _donor: Any) -> Any:
    kind = node["$"]
    found: Any = getattr(datetime, kind).fromisoformat(_text(node["v"]))
    if kind == "date":
        return found
    zone = decoder.decode(node.get("tz"))
    return found.replace(tzinfo=zone, fold=node.get("fold", 0))


@encodes("datetime.timedelta", "datetime.timezone")
def _encode_delta(_encoder: Encoder, value: Any, _where: str) -> Node:
    if isinstance(value, datetime.timedelta):
        return {
            "$": "timedelta",
            "items": [value.days, value.seconds, value.microseconds],
        }
    args = value.__getinitargs__()
    offset = _encode_delta(_encoder, args[0], _where)["items"]
    return {"$": "timezone", "items": offset, "name": args[1] if args[1:] else None}


@decodes("timedelta", "timezone")
def _decode_delta(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    delta = datetime.timedelta(*node["items"])
    if node["$"] == "timedelta":
        return delta
    name = node["name"]
    return datetime.timezone(delta) if name is None else datetime.timezone(delta, name)


@encodes("numpy.generic+", "numpy.ndarray")
def _encode_numpy(encoder: Encoder, value: Any, where: str) -> Node:
    if value.dtype.kind not in _NUMPY_KINDS:
        return encoder.leave_out(where, "object", f"numpy array of {value.dtype}")
    data = base64.b64encode(value.tobytes()).decode()
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
    raw = base64.b64decode(_text(node["v"]), validate=True)
    if "shape" not in node:
        return np.frombuffer(raw, dtype)[0] if raw else dtype.type()
    return np.frombuffer(raw, dtype).reshape(node["shape"]).copy()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise DamagedArtifactError("v", f"text expected, {type(value).__name__} found")
    return value
