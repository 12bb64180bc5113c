"""YAML from outside, read safely: plain text in mappings and lists, nothing else.

Every field of our documents is text, so no scalar is interpreted: an id `001`
stays "001", an entry `No` stays "No"; only timestamps are brought to ISO 8601.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
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
_TEXT = "tag:yaml.org,2002:str"
_TAGS = {
    yaml.ScalarNode: (_TEXT, _NULL, _TIMESTAMP),
    yaml.SequenceNode: ("tag:yaml.org,2002:seq",),
    yaml.MappingNode: ("tag:yaml.org,2002:map",),
}
"""What a node may be declared as; `!!int`, `!!binary` and `!!python` are errors."""
_PLAIN = {
    first: pairs
    for first, every in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if (pairs := [pair for pair in every if pair[0] in (_NULL, _TIMESTAMP)])
}


class _Loader(yaml.CBaseLoader):
    """Composes nodes whose scalars are text, null or a timestamp.

    Its depth is bounded: libyaml's binding calls itself for each level, without
    Python's limit.
    """

    depth = 0

    def descend_resolver(self, parent: Any, index: Any) -> None:
        """Called before each node."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _too_deep(parent)

    def ascend_resolver(self) -> None:
        """Called after each node."""
        self.depth -= 1

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """The tag of a node that declares none."""
        if kind is not yaml.ScalarNode:
            return _TAGS[kind][0]
        pairs = _PLAIN.get(value[:1], ()) if implicit[0] else ()
        return next((tag for tag, pattern in pairs if pattern.match(value)), _TEXT)


class _Reader:
    """Makes plain values of nodes; what an alias stands for is counted each time."""

    def __init__(self) -> None:
        self._n_nodes = 0

    def value(self, node: Any, depth: int = 1) -> Any:
        """What a node holds: text, None, a list or a mapping."""
        self._n_nodes += 1
        if self._n_nodes > MAX_NODES:
            raise _refusal(f"it expands to more than {MAX_NODES} nodes", node)
        if depth > MAX_DEPTH:
            raise _too_deep(node)
        if node.tag not in _TAGS[type(node)]:
            problem = f"could not determine a constructor for the tag {node.tag!r}"
            raise _refusal(problem, node)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        mapping: dict[Any, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key is no text", key)
            name = self.value(key, depth + 1)
            if name in mapping:
                raise _refusal(f"the key {key.value!r} stands twice", key)
            mapping[name] = self.value(value, depth + 1)
        return mapping


def _scalar(node: Any) -> str | None:
    """What a scalar is: None, ISO 8601, or as it is written."""
    if node.tag == _NULL:
        return None
    if node.tag == _TIMESTAMP:
        # raised for `!!timestamp` on a text, and for February 30
        with suppress(AttributeError, ValueError):
            return str(SafeConstructor().construct_yaml_timestamp(node).isoformat())
    return str(node.value)


def _too_deep(node: Any) -> yaml.MarkedYAMLError:
    return _refusal(f"it is nested deeper than {MAX_DEPTH} levels", node)


def _refusal(problem: str, node: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


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
        root = yaml.compose(text, Loader=_Loader)
        content = None if root is None else _Reader().value(root)
    except yaml.MarkedYAMLError as error:
        problem = (error.problem or "no YAML").removeprefix("but ")
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
    node = yaml.compose(_without_fences(text), Loader=_Loader)
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
