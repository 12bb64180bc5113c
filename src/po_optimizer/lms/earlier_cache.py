"""The answers that DSPy's own disk cache (diskcache) left in a folder, read as data.

It keeps pickles. Unpickling can call whatever the bytes name, so they are not
unpickled: the few opcodes that build plain values are followed here, and an entry
that holds any other is left out. It costs one call to ask for it again.
"""

import contextlib
import pickletools
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from po_optimizer.lms.answer_repair import repair_answer

_LARGEST_BYTES = 2**27
_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
_PICKLED = 4  # diskcache's mode of a value that is a pickle
_MARK = object()

_VALUES = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2",
    "LONG1", "BINFLOAT",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": list}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_REFERENCES = {"BINGET", "LONG_BINGET"}
_WITHOUT_EFFECT = {"PROTO", "FRAME", "STOP"}


class NotPlainError(ValueError):
    """The pickle holds more than plain values."""


def earlier_answers(folder: Path) -> Iterator[tuple[str, Any]]:
    """Key and answer of every entry that is plain data."""
    for database in sorted(folder.glob("[0-9][0-9][0-9]/cache.db")):
        for key, filename, value in _entries(database):
            data = value if filename is None else _read(database.parent, filename)
            with contextlib.suppress(NotPlainError, RecursionError):
                yield key, repair_answer(plain_value(data))


def _entries(database: Path) -> list[tuple[str, str | None, bytes]]:
    """Nothing of a database that cannot be read: its answers are paid for again."""
    if database.is_symlink() or database.parent.is_symlink():
        return []
    select = (
        "SELECT key, filename, value FROM Cache"
        " WHERE mode = ? AND raw AND typeof(key) = 'text' AND length(value) <= ?"
        " OR mode = ?1 AND raw AND typeof(key) = 'text' AND filename IS NOT NULL"
    )
    try:
        address = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            return connection.execute(select, (_PICKLED, _LARGEST_BYTES)).fetchall()
    except sqlite3.Error:
        return []


def _read(folder: Path, filename: object) -> bytes:
    """A value's own file; nothing of a name that diskcache does not give."""
    if not isinstance(filename, str) or not _FILE.fullmatch(filename):
        return b""
    path = folder / filename
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        if not inside or path.stat().st_size > _LARGEST_BYTES:
            return b""
        return path.read_bytes()
    except OSError:
        return b""


def plain_value(pickled: bytes) -> Any:
    """What a pickle of plain values holds; tuples become lists, as in JSON.

    Raises:
        NotPlainError: It holds anything else, or is damaged.
    """
    try:
        return _PlainValues().build(pickled)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise NotPlainError(str(error)) from error


class _PlainValues:
    """A stack that knows how to put plain values together, and nothing else."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: list[Any] = []
        self._referred = 0  # characters: a few bytes can refer to a long text often

    def build(self, pickled: bytes) -> Any:
        """The one value that the opcodes leave."""
        for opcode, argument, _ in pickletools.genops(pickled):
            self._follow(opcode.name, argument)
        (value,) = self._pop(1)
        if self._stack:
            raise NotPlainError("more than one value")
        return value

    def _follow(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name == "MEMOIZE":
            self._memo.append(self._stack[-1])
        elif name in _REFERENCES:
            self._stack.append(self._text(self._memo[argument]))
        elif name not in _WITHOUT_EFFECT:
            self._put_together(name)

    def _put_together(self, name: str) -> None:
        if name in _SHORT_TUPLES:
            self._stack.append(self._pop(_SHORT_TUPLES[name]))
        elif name == "TUPLE":
            self._stack.append(self._pop_to_mark())
        elif name in {"APPEND", "APPENDS"}:
            items = self._pop(1) if name == "APPEND" else self._pop_to_mark()
            self._stack[-1].extend(items)
        elif name in {"SETITEM", "SETITEMS"}:
            flat = self._pop(2) if name == "SETITEM" else self._pop_to_mark()
            for key, value in zip(flat[::2], flat[1::2], strict=True):
                self._stack[-1][_as_text(key)] = value
        else:
            raise NotPlainError(name)

    def _pop(self, count: int) -> list[Any]:
        items = self._stack[-count:]
        if len(items) < count or _MARK in items:
            raise NotPlainError("too few values")
        del self._stack[-count:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        last = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
        items = self._stack[last + 1 :]
        del self._stack[last:]
        return items

    def _text(self, value: Any) -> str:
        """Texts alone are referred to: shared lists could double with each level."""
        self._referred += len(_as_text(value))
        if self._referred > _LARGEST_BYTES:
            raise NotPlainError("too much text")
        return str(value)


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise NotPlainError(f"a {type(value).__name__} where a text belongs")
    return value
