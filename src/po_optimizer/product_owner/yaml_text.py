"""YAML from outside, read safely: plain text in mappings and lists, nothing else.

Every field of our documents is text, so no scalar is interpreted: an id `001`
stays "001", an entry `No` stays "No"; only timestamps are brought to ISO 8601.
"""

import re
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import BaseModel
from yaml.constructor import SafeConstructor

from po_optimizer.errors import DocumentError

MAX_CHARACTERS = 200_000
MAX_NODES = 20_000  # after the aliases are expanded
MAX_DEPTH = 30
LINE_WIDTH = 100  # characters

_FENCED = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
_UNUSUAL_BREAK = re.compile("[\x85\u2028\u2029]")
_NULL, _TIMESTAMP = "tag:yaml.org,2002:null", "tag:yaml.org,2002:timestamp"
_TAGS = {
    yaml.ScalarEvent: (_NULL, _TIMESTAMP, "tag:yaml.org,2002:str"),
    yaml.SequenceStartEvent: ("tag:yaml.org,2002:seq",),
    yaml.MappingStartEvent: ("tag:yaml.org,2002:map",),
}
"""What a node may be declared as; `!!int`, `!!binary` and `!!python` are errors."""
_PLAIN = {
    first: pairs
    for first, every in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if (pairs := [pair for pair in every if pair[0] in (_NULL, _TIMESTAMP)])
}


class _Reader:
    """Reads a text by the events of libyaml, without a tree in between."""

    def __init__(self, text: str) -> None:
        self._loader = yaml.CSafeLoader(text)
        self._n_nodes = 0
        self._anchors: dict[str, tuple[Any, int] | None] = {}

    def read(self) -> Any:
        """The one document of the text; None if there is none."""
        try:
            self._next()
            if type(self._next()) is yaml.StreamEndEvent:
                return None
            content = self._value(self._next(), 1)
            self._next()
            if type(event := self._next()) is not yaml.StreamEndEvent:
                raise _refusal("a second document begins", event)
        finally:
            self._loader.dispose()
        return content

    def _next(self) -> Any:
        return self._loader.get_event()

    def _value(self, event: Any, depth: int) -> Any:
        if event.anchor is not None:
            return self._anchored(event, depth)
        self._count(1, event)
        kind, tag = type(event), event.tag
        if tag is not None and tag != "!" and tag not in _TAGS[kind]:
            problem = f"could not determine a constructor for the tag {tag!r}"
            raise _refusal(problem, event)
        if kind is yaml.ScalarEvent:
            return _scalar(event)
        if depth > MAX_DEPTH:
            problem = f"it is nested deeper than {MAX_DEPTH} levels"
            raise _refusal(problem, event)
        if kind is yaml.MappingStartEvent:
            return self._mapping(depth)
        items = []
        while type(item := self._next()) is not yaml.SequenceEndEvent:
            items.append(self._value(item, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[Any, Any]:
        """A mapping whose keys are all different as they are written."""
        mapping: dict[Any, Any] = {}
        others = {}  # keys that are not as they are written: null, a timestamp
        while type(key := self._next()) is not yaml.MappingEndEvent:
            if type(key) is not yaml.ScalarEvent:
                raise _refusal("a key is no text", key)
            if key.value in mapping:
                raise _refusal(f"the key {key.value!r} stands twice", key)
            if (name := self._value(key, depth)) != key.value:
                others[key.value] = name
            mapping[key.value] = self._value(self._next(), depth + 1)
        if others:
            return {others.get(key, key): value for key, value in mapping.items()}
        return mapping

    def _anchored(self, event: Any, depth: int) -> Any:
        """What an alias stands for, or what aliases will stand for."""
        name, before = event.anchor, self._n_nodes
        if type(event) is not yaml.AliasEvent:
            event.anchor = self._anchors[name] = None
            value = self._value(event, depth)
            self._anchors[name] = value, self._n_nodes - before
            return value
        if name not in self._anchors:
            raise _refusal(f"found undefined alias {name!r}", event)
        target = self._anchors[name]
        if target is None:
            raise _refusal("an alias refers to the node that it stands in", event)
        self._count(target[1], event)
        return target[0]

    def _count(self, n_nodes: int, event: Any) -> None:
        self._n_nodes += n_nodes
        if self._n_nodes > MAX_NODES:
            raise _refusal(f"it expands to more than {MAX_NODES} nodes", event)


def _scalar(event: Any) -> str | None:
    """What a scalar is: None, ISO 8601, or as it is written."""
    text, tag = event.value, event.tag
    if event.implicit[0]:
        pairs = _PLAIN.get(text[:1], ())
        tag = next((tag for tag, pattern in pairs if pattern.match(text)), None)
    if tag == _NULL:
        return None
    if tag == _TIMESTAMP:
        node = yaml.ScalarNode(tag, text)
        try:
            return str(SafeConstructor().construct_yaml_timestamp(node).isoformat())
        except (AttributeError, ValueError):  # AttributeError: `!!timestamp` on text
            pass
    return str(text)


def _refusal(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def read_yaml(text: str, document: str = "the document") -> dict[str, Any]:
    """The mapping that a YAML text holds; its scalars are text or None.

    Args:
        text: YAML, in Markdown fences or not.
        document: What the text is, as the error names it.

    Raises:
        DocumentError: No readable mapping, or larger, deeper or more often aliased
            than any document of ours.
    """
    if len(text) > MAX_CHARACTERS:
        problem = f"{len(text)} characters, at most {MAX_CHARACTERS} are read"
        raise DocumentError(document, problem)
    text = _without_fences(text)
    if unprintable := yaml.reader.Reader.NON_PRINTABLE.search(text):
        problem = f"the character {unprintable[0]!r} is not allowed"
        raise _unreadable(document, problem, text, unprintable.start())
    try:
        content = _Reader(text).read()
    except yaml.MarkedYAMLError as error:
        problem = error.problem or "no YAML"
        position = error.problem_mark.index if error.problem_mark else 0
        if "cannot start any token" in problem:
            character = text[position : position + 1]
            remedy = "indent with spaces" if character == "\t" else "put it in quotes"
            problem = f"{problem}, {character!r}: {remedy}"
        raise _unreadable(document, problem, text, position) from error
    except (yaml.YAMLError, ValueError) as error:
        raise DocumentError(document, str(error)) from error
    if not isinstance(content, dict):
        kind = "nothing" if content is None else type(content).__name__
        problem = f"a YAML mapping is wanted, lines of `key: value`, got {kind}"
        raise DocumentError(document, problem)
    return content


def place_of(text: str, path: Iterable[int | str]) -> tuple[int, int] | None:
    """Line and column, from 1, of what stands at a path, or of what should hold it.

    Args:
        text: As `read_yaml` has read it without an error.
        path: Keys and positions from the document's root, as pydantic's `loc`.
    """
    node = yaml.compose(_without_fences(text), Loader=yaml.CSafeLoader)
    place = None
    for step in path:
        inside = list(node.value) if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            inside = [value for key, value in inside if key.value == step]
        elif isinstance(step, int):
            inside = inside[step : step + 1]
        if not inside:
            break
        node = place = inside[0]
    return place and (place.start_mark.line + 1, place.start_mark.column + 1)


def _unreadable(name: str, problem: str, text: str, position: int) -> DocumentError:
    before = text[:position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return DocumentError(name, problem, line, column)


def _without_fences(text: str) -> str:
    """The first fenced block, at its own line numbers; without fences all of it."""
    fenced = _FENCED.search(text)
    if fenced is None:
        return text
    return "\n" * text.count("\n", 0, fenced.start(1)) + fenced[1]


class _TextDumper(yaml.SafeDumper):
    """A dumper whose output always reads back."""

    def represent_text(self, text: str) -> Any:
        """Text, escaped where PyYAML's plain and single-quoted styles lose a break."""
        style = '"' if _UNUSUAL_BREAK.search(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_TextDumper.add_representer(str, _TextDumper.represent_text)


def write_yaml(model: BaseModel) -> str:
    """A model as YAML in block style, keys in the order of its fields.

    `read_yaml` gives back what `model.model_dump(mode="json")` gives.
    """
    text: str = yaml.dump(
        model.model_dump(mode="json"),
        Dumper=_TextDumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=LINE_WIDTH,
    )
    return text
