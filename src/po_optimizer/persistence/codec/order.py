"""Sets in one order, which is no part of a program but may be seen in its prompts."""

import copy
from collections import deque
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import Any

import dspy
from pydantic import BaseModel

from po_optimizer.persistence.codec.values import state_of

_WITHOUT_PARTS = frozenset((str, int, bool, type(None)))


def in_order(value: Any, *, keep: bool = False) -> Any:
    """The value with its sets in one order: hashing gives each process another.

    Args:
        value: Itself is given, if nothing in it changes.
        keep: Leave sets sets, made anew of their items in that order.
    """
    kind = type(value)
    if kind in _WITHOUT_PARTS:
        return value
    if isinstance(value, set | frozenset):
        items = sorted((in_order(item, keep=keep) for item in value), key=repr)
        ordered = kind(items) if keep else items
        return ordered if not keep or list(ordered) != list(value) else value
    changed = {
        key: ordered
        for key, item in _parts(value).items()
        if (ordered := in_order(item, keep=keep)) is not item
    }
    if changed and isinstance(value, tuple):
        items = [changed.get(i, item) for i, item in enumerate(value)]
        return kind(*items) if hasattr(kind, "_fields") else kind(items)
    copied = copy.copy(value) if changed else value
    for key, ordered in changed.items():
        if isinstance(value, dict | list | deque):
            copied[key] = ordered
        else:
            object.__setattr__(copied, key, ordered)
    return copied


def _parts(value: Any) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, list | tuple | deque):
        return dict(enumerate(value))
    if isinstance(value, dspy.Example):
        return {"_store": value._store}
    held = isinstance(value, BaseModel | SimpleNamespace) or is_dataclass(value)
    return state_of(value) if held and not isinstance(value, dspy.Module | type) else {}
