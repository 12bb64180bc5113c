"""Values as tagged JSON, without loss: what JSON has stands as it is.

Everything else is an object with the key "$", its tag: {"$": "tuple", "items": []}.
Other modules add their kinds with `encodes` and `decodes`. A decoder builds data
only; it never calls what a document names. What cannot be written in a place that
shapes the prompts is a NotStorableError, what is malformed a DamagedArtifactError.
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn, TypeVar

from po_optimizer.errors import (
    ArtifactError,
    DamagedArtifactError,
    NotStorableError,
    NotStoredError,
)
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.imports import Imports
from po_optimizer.secret import is_key, names_secret

Node = dict[str, Any]
Encode = Callable[["Encoder", Any, str], Any]
Decode = Callable[["Decoder", Node, Any], Any]

ABSENT: Any = object()
FAILURES = (  # of ours, and of what a program's own types do when they are read
    *(ArtifactError, TypeError, ValueError, LookupError, AttributeError, OSError),
    *(RuntimeError, ArithmeticError, NameError, SyntaxError, AssertionError),
)
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
    if kind not in _BY_CLASS:
        bases = (class_path(base) + "+" for base in kind.__mro__)
        paths = [class_path(kind), *bases]
        encoders = (_ENCODERS[p] for p in paths if p in _ENCODERS)
        _BY_CLASS[kind] = next(encoders, _unknown)
    return _BY_CLASS[kind]


def _unknown(encoder: "Encoder", value: Any, where: str) -> Any:
    return encoder.leave_out(where, "object", class_path(type(value)))


class NotStored:
    """A placeholder for code or a live object that is not stored; refuses any use.

    The refusal is no Exception: a program that answers something whatever fails must
    not answer something else because a part of it is missing.
    """

    def __init__(self, where: str, kind: str, what: str, code: str = "") -> None:
        self.__dict__.update(where=where, kind=kind, what=what, code=code)

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotStoredError(self.where, self.what)

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse, naming what would have to be there."""
        self._refuse()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # copy, pickle and pydantic ask for these
            raise AttributeError(name)
        self._refuse()

    def __repr__(self) -> str:
        return f"<not stored: {self.where}, {self.what}>"

    __str__ = __format__ = __bytes__ = __bool__ = __len__ = __iter__ = _refuse
    __getitem__ = __setitem__ = __delitem__ = __contains__ = __next__ = _refuse
    __aiter__ = __anext__ = __await__ = __enter__ = __exit__ = __aenter__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __float__ = __index__ = _refuse
    __add__ = __radd__ = __sub__ = __mul__ = __rmul__ = __truediv__ = _refuse
    __floordiv__ = __mod__ = __and__ = __or__ = __ror__ = __neg__ = _refuse
    __fspath__ = __reversed__ = _refuse


_OPEN = (bool, int, float, type, type(None), NotStored)  # never a secret themselves


def is_secret(name: Any, value: Any) -> bool:
    """True if name or value say that it is a key, a header or an address."""
    if isinstance(value, str) and is_key(value):
        return True
    if not isinstance(name, str) or not names_secret(name):
        return False
    if isinstance(value, _OPEN) or (isinstance(value, str | bytes) and not value):
        return False
    return not _holds_modules(value)


def _holds_modules(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_modules, value.values()))
    if type(value) in (list, tuple):
        return any(map(_holds_modules, value))
    bases = map(class_path, type(value).__mro__)
    return any(base in _MODULES for base in bases)


_MODULES = ("dspy.primitives.module.Module", "dspy.clients.base_lm.BaseLM")


class _NotAsIsError(Exception):
    """Ends a copy at once: a value that contains itself has no end."""


class AsIs:
    """Values that JSON holds as they are: encoding and decoding would change nothing.

    Attributes:
        n_nodes: Values and containers in them, as a decoder counts them.
    """

    def __init__(self) -> None:
        self.n_nodes = 0
        self._parts: dict[int, Any] = {}

    def __contains__(self, value: Any) -> bool:
        return id(value) in self._parts

    def take(self, value: Any, depth: int) -> Any:
        """A copy of the value, which is one of these; ABSENT if it is not like that."""
        n_nodes = self.n_nodes
        try:
            copied = self._copy(value, depth)
        except _NotAsIsError:
            self.n_nodes = n_nodes
            return ABSENT
        self._parts[id(copied)] = copied
        return copied

    def _copy(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is not dict and kind is not list:
            if _is_json(value, kind):
                return value
            raise _NotAsIsError
        keys, items = (value, value.values()) if kind is dict else ((), value)
        if depth > fmt.MAX_DEPTH or "$" in keys or not are_texts(keys):
            raise _NotAsIsError
        self.n_nodes += len(value) + 1
        if kind is list and are_texts(items):
            return value.copy()
        copies = [
            v if type(v) is str and v.isascii() else self._copy(v, depth + 1)
            for v in items
        ]
        return dict(zip(value, copies, strict=True)) if kind is dict else copies


def is_json(value: Any) -> bool:
    """Whether JSON holds the value as it is, at any depth."""
    return AsIs().take(value, 0) is not ABSENT


def are_texts(values: Collection[Any]) -> bool:
    """Whether these are texts, and JSON can hold them."""
    kinds = set(map(type, values))
    return kinds <= _TEXTS and (
        all(map(str.isascii, values)) or all(map(is_unicode, values))
    )


_TEXTS = frozenset({str})


def _is_json(value: Any, kind: type) -> bool:
    """Whether JSON has this kind of value: a text, a number, true, false or null."""
    if kind is str:
        return is_unicode(value)
    if kind is int:
        return bool(-(2**63) <= value < 2**63)
    return value is None or kind is bool or (kind is float and math.isfinite(value))


class Encoder:
    """Turns values into data, and notes what it leaves out and which types it needs.

    Args:
        rescue: Leave out what cannot be stored instead of raising.
        as_is: What another encoder found to be its own encoding.
    """

    def __init__(self, *, rescue: bool = False, as_is: AsIs | None = None) -> None:
        self.rescue = rescue
        self.as_is = as_is or AsIs()
        self.strict = False  # in demos and configs: what is no data is an error
        self.annotating = False  # in a type: classes are types, not values
        self.guards = True  # not in demos: whatever their fields' names, no secrets
        self.problems: list[str] = []
        self.not_stored: list[dict[str, str]] = []
        self.types: dict[str, Any] = {}
        self.type_ids: dict[Any, str] = {}
        self.modules: dict[int, int] = {}
        self.classes: dict[str, Any] = {}  # of the program, by path
        self.placeholders: list[NotStored] = []  # that the program holds already
        self._plain_nodes: list[Node] = []
        self._path: list[tuple[int, str]] = []  # from the program to what is encoded

    def encode(self, value: Any, where: str) -> Any:
        """The JSON form of a value; `where` names it in errors."""
        kind = type(value)
        if _is_json(value, kind):
            return value
        if (kind is list or kind is dict) and not value:
            return kind()
        self._path.append((id(value), where))
        try:
            if len(self._path) > fmt.MAX_DEPTH:
                raise self._too_deep()
            return encoder_of(kind)(self, value, where)
        except FAILURES as error:
            if not self.rescue or getattr(error, "where", where) != where:
                raise
            return self._give_up(value, where, error)
        finally:
            self._path.pop()

    def _too_deep(self) -> NotStorableError:
        """The error that names where a value stands again in itself, if one does."""
        outer = set()
        for number, where in self._path:
            if number in outer:
                return NotStorableError(where, "it contains itself")
            outer.add(number)
        problem = f"it is over {fmt.MAX_DEPTH} levels deep"
        return NotStorableError(where, problem)

    def _give_up(self, value: Any, where: str, error: BaseException) -> Any:
        """Leave out a value that cannot be stored, and note the problem."""
        self.problems.append(f"{where}: {error!s:.200}")
        what = class_path(type(value))
        self.not_stored.append({"where": where, "kind": "object", "what": what})
        return {"$": "missing", "where": where, "kind": "object", "what": what}

    def encode_member(self, name: Any, value: Any, where: str) -> Any:
        """The JSON form of an attribute, item or field; a secret is left out."""
        if self.guards and is_secret(name, value):
            return self.leave_out(where, "secret", type(value).__name__)
        return self.encode(value, where)

    def encode_members(self, members: Mapping[str, Any], where: str) -> Node:
        """The JSON form of attributes by name."""
        return {k: self.encode_member(k, v, f"{where}.{k}") for k, v in members.items()}

    @contextmanager
    def having(self, **flags: bool) -> Iterator[None]:
        """Sets `strict`, `guards` or `annotating` within the block."""
        outside = {name: getattr(self, name) for name in flags}
        vars(self).update(flags)
        try:
            yield
        finally:
            vars(self).update(outside)

    def encode_values(self, node: Node, values: dict[str, Any], where: str) -> None:
        """Puts an example's values into its node; in a demo most often as they are."""
        copied = values if values in self.as_is else ABSENT
        if copied is ABSENT and not self.guards:
            copied = self.as_is.take(values, len(self._path) + 1)
        if copied is ABSENT:
            node["v"] = encoder_of(dict)(self, values, where)
        else:
            node["v"] = copied
            self._plain_nodes.append(node)

    def dumped_briefly(self, *parts: Any) -> bytes:
        """A dump of parts for a comparison: values as they are stand by their id."""
        values = [node["v"] for node in self._plain_nodes]
        try:
            for node in self._plain_nodes:
                node["v"] = id(node["v"])
            return fmt.dump(parts)
        finally:
            for node, value in zip(self._plain_nodes, values, strict=True):
                node["v"] = value

    def leave_out(
        self, where: str, kind: str, what: str, code: str = ""
    ) -> dict[str, str]:
        """A node that names what is left out; an error where prompts depend on it."""
        if self.strict and kind != "secret":
            problem = f"it is an object of {what}, not data"
            if not self.rescue:
                raise NotStorableError(where, problem)
            self.problems.append(f"{where}: {problem}")
        entry = {"where": where, "kind": kind, "what": what}
        self.not_stored.append(entry)
        return {"$": "missing", **entry, **({"code": code} if code else {})}


@dataclass
class Decoder:
    """Turns a document into values, importing only what `imports` allows.

    Args:
        imports: Finds classes by path.
        types: The document's table of types.
        arguments: What the program's constructor was called with; None if unknown.
        lms: LMs for the places, or the models, of LMs that cannot be rebuilt.
        compare: Keep placeholders as they are, to compare with what was encoded.
        parts: Give the parts of a signature for the class, if nothing else comes of
            making it.
        same_python: Whether this Python compiles functions as the saving one did.
        as_is: Nodes that are their own values.
    """

    imports: Imports
    types: dict[str, Any]
    _: KW_ONLY
    arguments: dict[str, Any] | None = None
    lms: Mapping[str, Any] = field(default_factory=dict)
    compare: bool = False
    parts: bool = False
    same_python: bool = True
    as_is: AsIs = field(default_factory=AsIs)

    def __post_init__(self) -> None:
        if len(self.types) > fmt.MAX_TYPES:
            raise DamagedArtifactError("types", f"over {fmt.MAX_TYPES} types")
        self.built: dict[str, Any] = {}
        self.building: dict[str, str] = {}
        self.modules: dict[int, Any] = {}
        self.counterparts: dict[int, Any] = {}  # of a donor's modules and code, by id
        self.type_variables: dict[str, Any] = {}
        self.missing: list[NotStored] = []
        self.unchecked: list[str] = []  # places of functions that cannot be compared
        self._n_nodes = self.as_is.n_nodes
        self._depth = 0

    def decode(self, node: Any, donor: Any = ABSENT) -> Any:
        """The value of a node.

        Args:
            node: A part of the document.
            donor: The same part of a live program, which gives what is not stored.
        """
        kind = type(node)
        if (kind is not dict and kind is not list) or node in self.as_is:
            return node
        self._enter(len(node))
        try:
            if kind is list:
                return [
                    item if type(item) is str else self.decode(item, part(donor, i))
                    for i, item in enumerate(node)
                ]
            if "$" not in node:
                return {
                    k: item if type(item) is str else self.decode(item, part(donor, k))
                    for k, item in node.items()
                }
            handler = _DECODERS.get(node["$"])
            if handler is None:
                raise DamagedArtifactError("$", f"unknown tag {node['$']!r}")
            return handler(self, node, donor)
        finally:
            self._depth -= 1

    def decode_members(self, nodes: Node, donor: Any = ABSENT) -> Iterator[Any]:
        """Attributes as pairs of name and value; the donor has the same ones."""
        members = state_of(donor)
        for name, node in nodes.items():
            if name[:2] == "__":  # Python itself uses these
                raise DamagedArtifactError("state", f"attribute {name!r:.80}")
            yield name, self.decode(node, members.get(name, ABSENT))

    @contextmanager
    def level(self) -> Iterator[None]:
        """Counts one more level of nesting, for nodes without a tag."""
        self._enter(1)
        try:
            yield
        finally:
            self._depth -= 1

    def type_variable(self, name: str) -> Any:
        """The one type variable of that name in the document."""
        return self.type_variables.setdefault(name, TypeVar(name))

    def _enter(self, size: int) -> None:
        self._depth += 1
        self._n_nodes += size + 1
        if self._depth > fmt.MAX_DEPTH * 2:
            raise DamagedArtifactError("document", "nested too deeply")
        if self._n_nodes > fmt.MAX_NODES:
            raise DamagedArtifactError("document", f"over {fmt.MAX_NODES} values")


def state_of(value: Any) -> Node:
    """The attributes of an instance; of a dataclass those in slots, too."""
    state = getattr(value, "__dict__", {})
    names = getattr(type(value), "__dataclass_fields__", ())
    return {**state, **{n: getattr(value, n) for n in names if hasattr(value, n)}}


def part(donor: Any, key: Any) -> Any:
    """The donor's item of that key, or ABSENT."""
    if donor is ABSENT:
        return ABSENT
    if isinstance(donor, SimpleNamespace):
        donor = vars(donor)
    if isinstance(donor, dict):
        return donor.get(key, ABSENT)
    if isinstance(donor, list | tuple | deque):
        return donor[key] if isinstance(key, int) and key < len(donor) else ABSENT
    return ABSENT


def is_unicode(text: str) -> bool:
    """False for text with a lone surrogate, which JSON cannot hold."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@encodes(class_path(NotStored) + "+")
def _encode_not_stored(encoder: Encoder, value: NotStored, _where: str) -> Any:
    if encoder.guards:  # a tool in a demo is shown in prompts and never called
        encoder.placeholders.append(value)
    return encoder.leave_out(value.where, value.kind, value.what, value.code)


def placeholder(
    decoder: Decoder, node: Mapping[str, Any], kind: type[NotStored] = NotStored
) -> NotStored:
    """A placeholder for a part that is neither stored nor given."""
    parts = (str(node.get(key, "")) for key in ("where", "kind", "what", "code"))
    missing = kind(*parts)
    decoder.missing.append(missing)
    return missing
