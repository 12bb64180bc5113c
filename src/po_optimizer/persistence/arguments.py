"""What a program's constructor was called with, as far as that is known.

The role knows it, or the caller of `save_program`. Elsewhere an argument is taken
from the instance only where the constructor provably put it there unchanged.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

from po_optimizer.persistence.imports import Imports
from po_optimizer.persistence.values import Decoder, Encoder

Node = dict[str, Any]

_IMMUTABLE = (str, bytes, int, float, bool, type(None))


def encode_arguments(program: Any, given: Mapping[str, Any] | None) -> Node:
    """The arguments by name, and the names of those that nobody knows."""
    unknown: list[str] = []
    known = dict(given) if given is not None else _from_instance(program, unknown)
    encoder = Encoder(rescue=True)  # what is no data is the donor's to give
    values = {
        name: encoder.encode_member(name, value, f"constructor argument {name}")
        for name, value in known.items()
    }
    return {"known": values, "unknown": unknown, "types": encoder.types}


def decode_arguments(imports: Imports, node: Node) -> dict[str, Any] | None:
    """The arguments; None if one of them is unknown or no data."""
    if node["unknown"]:
        return None
    decoder = Decoder(imports, node["types"])
    arguments = {str(k): decoder.decode(v) for k, v in node["known"].items()}
    return None if decoder.missing else arguments


def _from_instance(program: Any, unknown: list[str]) -> dict[str, Any]:
    kind = type(program)
    if kind.__module__.split(".")[0] == "dspy":
        return {}
    parameters = list(inspect.signature(kind.__init__).parameters)[1:]
    kept = _kept_unchanged(kind) if parameters else set()
    known: dict[str, Any] = {}
    for name in parameters:
        value = vars(program).get(name, unknown)
        if name in kept and isinstance(value, _IMMUTABLE):
            known[name] = value
        else:
            unknown.append(name)
    return known


def _kept_unchanged(kind: type) -> set[str]:
    """Parameters that `__init__` assigns to the attribute of their name, only there."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return set()
    body = tree.body[0]
    inits = [
        node
        for node in getattr(body, "body", [])
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    if len(inits) != 1:
        return set()
    stored = [
        node.id
        for node in ast.walk(inits[0])
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    ]
    attributes = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
    ]
    return {
        name
        for name in map(_plain_assignment, inits[0].body)
        if name and name not in stored and attributes.count(name) == 1
    }


def _plain_assignment(node: ast.stmt) -> str | None:
    """`name` for the statement `self.name = name`."""
    match node:
        case ast.Assign(
            targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)],
            value=ast.Name(id=value),
        ) if name == value:
            return name
    return None
