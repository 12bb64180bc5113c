"""Values as tagged JSON, without loss: what JSON has stands as it is.

Everything else is an object with the key "$", its tag: {"$": "tuple", "items": []}.
Other modules add their kinds with `encodes` and `decodes`. A decoder builds data
only; it never calls what a document names.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from po_optimizer.errors import DamagedArtifactError, NotStorableError, NotStoredError
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.allowlist import Imports

Encode = Callable[["Encoder", Any, str], Any]
Decode = Callable[["Decoder", dict[str, Any], Any], Any]

ABSENT: Any = object()
_ENCODERS: dict[str, Encode] = {}
_DECODERS: dict[str, Decode] = {}
_BY_CLASS: dict[type, Encode] = {}


def encodes(*paths: str) -> Callable[[Encode], Encode]:
    """Register an encoder for classes by path, e.g. "decimal.Decimal".

    A path that ends in "+" covers subclasses too. Paths, not classes: numpy and the
    like need not be imported to be known.
    """

    def register(function: Encode) -> Encode:
        _ENCODERS.update(dict.fromkeys(paths, function))
        return function

    return register


def decodes(*tags: str) -> Callable[[Decode], Decode]:
    """Register the decoder of a tag."""

    def register(function: Decode) -> Decode:
        _DECODERS.update(dict.fromkeys(tags, function))
        return function

    return register


def class_path(kind: type) -> str:
    """The dotted name of a class, as the encoders are registered."""
    return f"{kind.__module__}.{kind.__qualname__}"


def encoder_of(kind: type) -> Encode:
    """The encoder of a class: its own, else that of the nearest base."""
    found = _BY_CLASS.get(kind)
    if found is None:
        bases = (class_path(base) + "+" for base in kind.__mro__)
        paths = [class_path(kind), *bases]
        found = next((_ENCODERS[p] for p in paths if p in _ENCODERS), _unknown)
        _BY_CLASS[kind] = found
    return found


def _unknown(encoder: "Encoder", value: Any, where: str) -> Any:
    return encoder.leave_out(where, "object", class_path(type(value)))


class Encoder:
    """One encoding: what was met, what was left out, and the types it needs.

    Args:
        rescue: Leave out what cannot be stored instead of raising.
    """

    def __init__(self, *, rescue: bool = False) -> None:
        self.rescue = rescue
        self.strict = False  # True inside demos, signatures and configs
        self.problems: list[str] = []
        self.not_stored: list[dict[str, str]] = []
        self.types: dict[str, Any] = {}
        self.type_ids: dict[Any, str] = {}
        self.modules: dict[int, int] = {}
        self.known: dict[str, Any] = {}
        self._depth = 0

    def encode(self, value: Any, where: str) -> Any:
        """The JSON form of a value; `where` names it in errors.

        Raises:
            NotStorableError: It shapes the prompts and is not data.
        """
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str and (value.isascii() or is_unicode(value)):
            return value
        if (kind is int and -(2**63) <= value < 2**63) or (
            kind is float and math.isfinite(value)
        ):
            return value
        self._depth += 1
        try:
            if self._depth > fmt.MAX_DEPTH:
                problem = f"it is over {fmt.MAX_DEPTH} levels deep, or cyclic"
                raise NotStorableError(where, problem)
            return encoder_of(kind)(self, value, where)
        finally:
            self._depth -= 1

    @contextmanager
    def strictness(self, *, strict: bool) -> Iterator[None]:
        """Whether what is no data is an error or left out, for a while."""
        before, self.strict = self.strict, strict
        try:
            yield
        finally:
            self.strict = before

    def leave_out(self, where: str, kind: str, what: str) -> dict[str, str]:
        """Name what is not written; an error where the prompts depend on it.

        Raises:
            NotStorableError: It stands in a demo, a signature or a config.
        """
        if self.strict and kind != "secret":
            problem = f"it is an object of {what}, not data"
            if not self.rescue:
                raise NotStorableError(where, problem)
            self.problems.append(f"{where}: {problem}")
        self.not_stored.append({"where": where, "kind": kind, "what": what})
        return {"$": "missing", "where": where, "kind": kind, "what": what}


class Decoder:
    """One decoding: data out of a document, importing only what `imports` allows.

    Args:
        imports: Finds classes by path.
        types: The document's table of types.
    """

    def __init__(self, imports: Imports, types: dict[str, Any]) -> None:
        if len(types) > fmt.MAX_TYPES:
            raise DamagedArtifactError("types", f"over {fmt.MAX_TYPES} types")
        self.imports = imports
        self.types = types
        self.built: dict[str, Any] = {}
        self.building: dict[str, str] = {}
        self.modules: dict[int, Any] = {}
        self.type_variables: dict[str, Any] = {}
        self.n_missing = 0
        self.keep_missing = False  # True to compare with what was encoded
        self._n_nodes = 0
        self._depth = 0

    def decode(self, node: Any, donor: Any = ABSENT) -> Any:
        """The value of a node.

        Args:
            node: A part of the document.
            donor: The same part of a live program, which gives what is not stored.
        """
        kind = type(node)
        if kind is not dict and kind is not list:
            return node
        self._enter(len(node))
        try:
            if kind is list:
                return self._items(node, donor)
            if "$" not in node:
                return {
                    key: self.decode(value, part(donor, key))
                    for key, value in node.items()
                }
            handler = _DECODERS.get(node["$"])
            if handler is None:
                raise DamagedArtifactError("$", f"unknown tag {node['$']!r}")
            return handler(self, node, donor)
        finally:
            self._depth -= 1

    def _items(self, nodes: list[Any], donor: Any) -> list[Any]:
        if donor is ABSENT:
            return [self.decode(node) for node in nodes]
        return [self.decode(node, part(donor, i)) for i, node in enumerate(nodes)]

    def _enter(self, size: int) -> None:
        self._depth += 1
        self._n_nodes += size + 1
        if self._depth > fmt.MAX_DEPTH * 2:
            raise DamagedArtifactError("document", "nested too deeply")
        if self._n_nodes > fmt.MAX_NODES:
            raise DamagedArtifactError("document", f"over {fmt.MAX_NODES} values")


def part(donor: Any, key: Any) -> Any:
    """The donor's item or attribute of that name, or ABSENT."""
    if isinstance(donor, dict):
        return donor.get(key, ABSENT)
    if isinstance(donor, list | tuple):
        return donor[key] if isinstance(key, int) and key < len(donor) else ABSENT
    return ABSENT


def is_unicode(text: str) -> bool:
    """False for text with a lone surrogate, which JSON cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class NotStored:
    """Stands where a document only names code or a live object; refuses any use."""

    def __init__(self, where: str, kind: str, what: str) -> None:
        self.__dict__.update(where=where, kind=kind, what=what)

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse, naming what would have to be there.

        Raises:
            NotStoredError: Always.
        """
        raise NotStoredError(self.where, self.what)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy, pickle and isinstance ask for these
            raise AttributeError(name)
        raise NotStoredError(self.where, self.what)

    def __repr__(self) -> str:
        return f"<not stored: {self.where}, {self.what}>"


@encodes(class_path(NotStored) + "+")
def _encode_not_stored(encoder: Encoder, value: NotStored, _where: str) -> Any:
    return encoder.leave_out(value.where, value.kind, value.what)


@decodes("missing")
def _decode_missing(decoder: Decoder, node: dict[str, Any], donor: Any) -> Any:
    if donor is not ABSENT:
        return donor
    kind, what = str(node["kind"]), str(node["what"])
    if decoder.keep_missing:
        return NotStored(str(node["where"]), kind, what)
    if kind == "lm":
        return None
    if kind == "function":
        found = decoder.imports.find(what, "function")
        if found is not None:
            return found
    decoder.n_missing += 1
    return NotStored(str(node["where"]), kind, what)
