"""The answers that DSPy's own disk cache (diskcache) left in a folder, read as data.

It keeps pickles, which can call whatever their bytes name. So an entry is unpickled
only if each of its opcodes puts plain values together; any other is left out, and
costs one call to ask for it again.
"""

import contextlib
import pickle
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

_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_REFERENCES = {"BINGET", "LONG_BINGET"}
_PLAIN = {
    *_TEXTS,
    *_REFERENCES,
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "NONE", "NEWTRUE"),
    *("NEWFALSE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE1", "TUPLE2"),
    *("TUPLE3", "TUPLE", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "MARK"),
    *("MEMOIZE", "PROTO", "FRAME", "STOP"),
}
_DAMAGED = (ValueError, TypeError, LookupError, AttributeError, OverflowError, EOFError)


class NotPlainError(ValueError):
    """The pickle holds more than plain values, or is damaged."""


def earlier_answers(folder: Path) -> Iterator[tuple[str, Any]]:
    """Key and answer of every entry that is plain data."""
    for database in sorted(folder.glob("[0-9][0-9][0-9]/cache.db")):
        for key, filename, value in _entries(database):
            data = value if filename is None else _read(database.parent, filename)
            with contextlib.suppress(NotPlainError, RecursionError):
                yield key, plain_value(data)


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
        small = inside and path.stat().st_size <= _LARGEST_BYTES
        return path.read_bytes() if small else b""
    except OSError:
        return b""


def plain_value(pickled: bytes) -> Any:
    """What a pickle of plain values holds, half characters repaired.

    Raises:
        NotPlainError: It holds anything else, or is damaged.
    """
    try:
        _check_opcodes(pickled)
        return repair_answer(pickle.loads(pickled))  # noqa: S301 -- of plain opcodes
    except (*_DAMAGED, pickle.UnpicklingError) as error:
        raise NotPlainError(str(error)) from error


def _check_opcodes(pickled: bytes) -> None:
    """Lets only texts be referred to: shared lists could double with each level."""
    memo: list[str | None] = []
    text, referred = None, 0
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name not in _PLAIN:
            raise NotPlainError(opcode.name)
        if opcode.name == "MEMOIZE":
            memo.append(text)
        elif opcode.name in _REFERENCES:
            referred += len(memo[argument])  # type: ignore[arg-type,index]
            if referred > _LARGEST_BYTES:
                raise NotPlainError("it refers to too much text")
        text = argument if opcode.name in _TEXTS else None
