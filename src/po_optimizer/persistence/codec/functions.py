"""Functions: named and never written; a donor gives them, if they are the same.

What stands for one that nobody gives refuses to be used.
"""

import copy
import functools
import types
from typing import Any

from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.imports import import_path
from po_optimizer.persistence.codec.values import (
    ABSENT,
    Decoder,
    Encoder,
    Node,
    decodes,
    encodes,
    placeholder,
)


@encodes(
    "builtins.function",
    "builtins.builtin_function_or_method",
    "builtins.method",
    "functools.partial",
)
def _encode_function(encoder: Encoder, value: Any, where: str) -> Node:
    """Code is named, never written; DSPy's own wrappers are looked through."""
    value = unwrapped(value)
    named = value.func if isinstance(value, functools.partial) else value
    if not hasattr(named, "__qualname__"):
        named = type(named)
    path = f"{getattr(named, '__module__', None)}:{named.__qualname__}"
    if path in DSPY_FUNCTIONS:
        return {"$": "function", "name": path}
    return encoder.leave_out(where, "function", path, code_hash(value))


def _finish() -> str:
    return "Completed."


_finish.__module__ = "dspy.predict.react"
_finish.__qualname__ = "ReAct.__init__.<locals>.<lambda>"
DSPY_FUNCTIONS = {import_path(_finish): _finish}
"""What DSPy's own modules put into their attributes, written again."""


@decodes("function")
def _decode_function(_decoder: Decoder, node: Node, _donor: Any) -> Any:
    return DSPY_FUNCTIONS[node["name"]]


@decodes("missing")
def _decode_missing(decoder: Decoder, node: dict[str, Any], donor: Any) -> Any:
    if donor is ABSENT or decoder.compare:
        missing = placeholder(decoder, node)
        watches = node.get("kind") == "callbacks" and not decoder.compare
        return [] if watches else missing  # a program answers the same without them
    code = node.get("code", "")
    if code and not decoder.same_python:
        decoder.unchecked.append(f"{node['where']} ({node['what']})")
    elif code not in ("", code_hash(donor)):
        other = f"{node['what']}, and the given program has another one"
        return placeholder(decoder, {**node, "what": other})
    return rebound(decoder, donor)


def code_hash(value: Any, outer: tuple[int, ...] = ()) -> str:
    """A hash of a Python function: what it does, and the plain values it closes over.

    "" for what has no code of Python. Another version of Python compiles another code,
    so hashes are compared within one version only.

    Args:
        value: A function, a method or a partial.
        outer: The ids of what it is part of: a function may close over itself.
    """
    value = getattr(unwrapped(value), "__func__", unwrapped(value))
    if isinstance(value, functools.partial):
        given = [value.args, value.keywords]
        parts: Any = [code_hash(value.func, outer), _plain_only(given, outer)]
    elif isinstance(value, types.FunctionType):
        defaults = [value.__defaults__, value.__kwdefaults__]
        held = _plain_only([defaults, cells_of(value)], (*outer, id(value)))
        parts = [_code_parts(value.__code__), held]
    else:
        return ""
    return fmt.sha256(repr(parts).encode())[:16]


def unwrapped(value: Any) -> Any:
    """A reward function without the lambda that DSPy's modules put around it."""
    cells = getattr(value, "__closure__", None)
    ours = ("dspy.predict.best_of_n", "dspy.predict.refine")
    if cells and getattr(value, "__module__", "") in ours:
        return cells[0].cell_contents
    return value


def _code_parts(code: types.CodeType) -> list[Any]:
    consts = [
        _code_parts(item) if isinstance(item, types.CodeType) else repr(item)
        for item in code.co_consts
    ]
    return [code.co_code.hex(), code.co_names, code.co_freevars, consts]


def _plain_only(value: Any, outer: tuple[int, ...]) -> Any:
    if id(value) in outer:
        return "itself"
    if isinstance(value, types.FunctionType | functools.partial):
        return code_hash(value, outer)
    outer = (*outer, id(value))
    if isinstance(value, dict):
        return [[repr(key), _plain_only(item, outer)] for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_plain_only(item, outer) for item in value]
    return repr(value) if isinstance(value, _PLAIN) else type(value).__qualname__


_PLAIN = (str, bytes, int, float, bool, type(None), complex)


def cells_of(function: types.FunctionType) -> list[Any]:
    """What a function closes over; a name that was never bound is left out."""
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:
            contents.append(None)
    return contents


def rebound(decoder: Decoder, value: Any) -> Any:
    """A donor's code or object, with the loaded modules in place of the donor's own.

    A tool that is a method of the program, or a function or a helper that holds it,
    must act on the program that was loaded.
    """
    if id(value) in decoder.counterparts:
        return decoder.counterparts[id(value)]
    if isinstance(value, types.MethodType):
        return types.MethodType(value.__func__, rebound(decoder, value.__self__))
    if isinstance(value, functools.partial):
        args, keywords = rebound(decoder, value.args), rebound(decoder, value.keywords)
        return functools.partial(rebound(decoder, value.func), *args, **keywords)
    if isinstance(value, types.FunctionType):
        return _rebound_function(decoder, value)
    if type(value) in (list, tuple, dict):
        return _rebound_items(decoder, value)
    held = getattr(value, "__dict__", {})
    changed = {k: decoder.counterparts.get(id(v), v) for k, v in held.items()}
    if not isinstance(value, type) and any(changed[k] is not held[k] for k in held):
        value = decoder.counterparts[id(value)] = copy.copy(value)
        vars(value).update(changed)
    return value


def _rebound_items(decoder: Decoder, value: Any) -> Any:
    decoder.counterparts[id(value)] = value  # one that holds itself
    items = list(value.values() if isinstance(value, dict) else value)
    changed = [rebound(decoder, item) for item in items]
    if any(a is not b for a, b in zip(items, changed, strict=True)):
        kind = type(value)
        pairs = zip(value, changed, strict=True)
        value = dict(pairs) if kind is dict else kind(changed)
        decoder.counterparts[id(value)] = value
    return value


def _rebound_function(decoder: Decoder, function: types.FunctionType) -> Any:
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    code, names = function.__code__, function.__globals__
    bound: Any = types.FunctionType(code, names, function.__name__, None, cells)
    decoder.counterparts[id(function)] = bound  # one that closes over itself
    held = [function.__defaults__, function.__kwdefaults__, *cells_of(function)]
    changed = [rebound(decoder, item) for item in held]
    if all(a is b or b is bound for a, b in zip(held, changed, strict=True)):
        decoder.counterparts[id(function)] = function
        return function
    functools.update_wrapper(bound, function)
    vars(bound).pop("__wrapped__")
    vars(bound).update(vars(function))
    bound.__defaults__, bound.__kwdefaults__, *contents = changed
    for cell, content in zip(cells, contents, strict=True):
        cell.cell_contents = content
    return bound
