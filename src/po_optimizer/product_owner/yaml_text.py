"""YAML from outside, read safely: plain text in mappings and lists, nothing else.

Every field of our documents is text, so no scalar is interpreted: an id `001`
stays "001", an entry `No` stays "No"; only timestamps are brought to ISO 8601.
"""

import re
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import BaseModel

from po_optimizer.errors import DocumentError

MAX_CHARACTERS = 200_000
MAX_NODES = 20_000  # after the aliases are expanded
MAX_DEPTH = 30
LINE_WIDTH = 100  # characters

_FENCED = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
_UNUSUAL_BREAK = re.compile("[\x85\u2028\u2029]")
_NULL_OR_TIMESTAMP = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:timestamp")


class _TextLoader(yaml.SafeLoader):
    """A loader that counts what it composes and makes text of every scalar."""

    # Only these tags have a constructor: `!!int`, `!!binary` and `!!python` are errors.
    yaml_constructors = {  # noqa: RUF012 - PyYAML's own class attribute
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (
            None,
            "tag:yaml.org,2002:null",
            "tag:yaml.org,2002:str",
            "tag:yaml.org,2002:seq",
            "tag:yaml.org,2002:map",
        )
    }
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [pair for pair in pairs if pair[0] in _NULL_OR_TIMESTAMP]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._n_nodes = 0
        self._sizes: dict[int, int] = {}  # nodes under a node, by its identity

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node, unless it is too deep or expands to too many nodes."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._n_nodes
        self._depth += 1
        if self._depth > MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            raise _refusal(f"it is nested deeper than {MAX_DEPTH} levels", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise _refusal("an alias refers to the node that it stands in", event)
            self._n_nodes += self._sizes[id(node)]
        else:
            self._n_nodes += 1
            self._sizes[id(node)] = self._n_nodes - before
        if self._n_nodes > MAX_NODES:
            raise _refusal(f"it expands to more than {MAX_NODES} nodes", event)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are all different."""
        seen = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise _refusal(f"the key {key!r} stands twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_iso_timestamp(self, node: Any) -> str:
        """A timestamp as ISO 8601 text; what only looks like one stays as written."""
        try:
            return str(self.construct_yaml_timestamp(node).isoformat())
        except (AttributeError, ValueError):  # AttributeError: `!!timestamp` on text
            return str(node.value)


_TextLoader.add_constructor(
    "tag:yaml.org,2002:timestamp", _TextLoader.construct_iso_timestamp
)


class _Events:
    """What a plain text holds, from the events of libyaml: no tree in between.

    A text with anything else in it is a ValueError: tags, anchors, a key twice, too
    many nodes or levels.
    """

    def __init__(self, text: str) -> None:
        self._loader = yaml.CSafeLoader(text)
        self._n_nodes = 0

    def read(self) -> Any:
        """The one document of the text; None if there is none."""
        try:
            self._next()
            if type(self._next()) is yaml.StreamEndEvent:
                return None
            content = self._value(self._next(), 1)
            self._next()
            if type(self._next()) is not yaml.StreamEndEvent:
                raise ValueError
        finally:
            self._loader.dispose()
        return content

    def _next(self) -> Any:
        return self._loader.get_event()

    def _value(self, event: Any, depth: int) -> Any:
        self._n_nodes += 1
        kind, is_plain = type(event), event.anchor is None and event.tag is None
        if not is_plain or depth > MAX_DEPTH or self._n_nodes > MAX_NODES:
            raise ValueError
        if kind is yaml.ScalarEvent:
            return _scalar(event.value) if event.implicit[0] else event.value
        if kind is yaml.SequenceStartEvent:
            items = []
            while type(item := self._next()) is not yaml.SequenceEndEvent:
                items.append(self._value(item, depth + 1))
            return items
        mapping: dict[Any, Any] = {}
        others = {}  # keys that are not as they are written: null, a timestamp
        while type(key := self._next()) is not yaml.MappingEndEvent:
            if type(key) is not yaml.ScalarEvent or key.value in mapping:
                raise ValueError
            if (name := self._value(key, depth)) != key.value:
                others[key.value] = name
            mapping[key.value] = self._value(self._next(), depth + 1)
        if others:
            return {others.get(key, key): value for key, value in mapping.items()}
        return mapping


def _scalar(text: str) -> str | None:
    """What a scalar without quotes is: None, ISO 8601, or as it is written."""
    for tag, pattern in _TextLoader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            if tag.endswith("null"):
                return None
            return _TextLoader("").construct_iso_timestamp(yaml.ScalarNode(tag, text))
    return text


def _refusal(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


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
    try:
        content = _load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        problem = error.problem or "no YAML"
        if "'\\t'" in problem:
            problem = f"{problem}; indent with spaces"
        raise DocumentError(document, problem, *place) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        problem = f"the character {text[error.position]!r} is not allowed"
        raise DocumentError(document, problem, line, column) from error
    except (ValueError, OverflowError) as error:  # an escape beyond Unicode
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
    try:
        node = yaml.compose(_without_fences(text), Loader=_TextLoader)
    except yaml.YAMLError:  # libyaml read it, and is the more lenient one
        return None
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


def _load(text: str) -> Any:
    try:
        return _Events(text).read()
    except (yaml.YAMLError, ValueError, OverflowError):
        # libyaml counts bytes, and its words differ: PyYAML says what is wrong
        return yaml.load(text, Loader=_TextLoader)  # noqa: S506 -- texts only


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
