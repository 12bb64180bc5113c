"""Answers as data: one SQLite file of JSON, of which nothing is ever executed.

DSPy's own disk cache (diskcache), which earlier versions used, keeps pickles, which can
call whatever their bytes name. So an entry of it is unpickled only if each of its
opcodes puts plain values together; any other is left out, and costs one call to ask
for it again.
"""

import contextlib
import json
import pickle
import pickletools
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from logging import getLogger
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from po_optimizer.files.private import open_private, use_wal
from po_optimizer.lms.answer_repair import repair, repair_answer

_LARGEST_BYTES = 2**27  # of one answer: some times what is taken from a server
_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
_BY_REQUEST = 1  # a file that never held an answer under a key of DSPy's
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


logger = getLogger(__name__)

FILE = "answers.sqlite"
_SCHEMA = "CREATE TABLE answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL)"
_OPEN_SECONDS = 600  # another process may be importing the answers of an old cache
_WRITE_SECONDS = 60


class Answers:
    """The answers of one endpoint, shared by threads and processes.

    Every answer is its own transaction in WAL mode: a killed process loses the one in
    flight. Write access to the folder changes at most what an answer says.

    Args:
        folder: Made when missing. What DSPy's own cache left there is taken over once.

    Raises:
        OSError: The file cannot be made, or is a link.
        sqlite3.Error: It is no database, or holds something else.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        open_private(path).close()
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=_OPEN_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(folder)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, folder: Path) -> None:
        """Makes the table and takes the old answers over, both or neither."""
        execute = self._connection.execute
        execute("PRAGMA trusted_schema=OFF")
        if not self._is_ours():
            execute("BEGIN IMMEDIATE")
            if not self._is_ours():
                execute(_SCHEMA)
                if not self._take_over(earlier_answers(folder)):
                    execute(f"PRAGMA user_version={_BY_REQUEST}")
            execute("COMMIT")
        version = execute("PRAGMA user_version").fetchone()[0]
        self.has_earlier = version != _BY_REQUEST
        use_wal(self._connection)
        execute(f"PRAGMA busy_timeout={_WRITE_SECONDS * 1000}")

    def _is_ours(self) -> bool:
        """False of an empty file; a table, view or trigger of another's is an error."""
        select = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        schema = [row[0] for row in self._connection.execute(select)]
        if schema not in ([], [_SCHEMA]):
            raise sqlite3.DatabaseError(f"{FILE} holds something else than answers")
        return bool(schema)

    def _take_over(self, answers: Iterable[tuple[str, Any]]) -> int:
        n = 0
        for key, answer in answers:
            self._insert(key, answer)
            n += 1
        if n:
            logger.info("%d answers of an earlier version's cache were taken over", n)
        return n

    def get(self, key: str) -> Any:
        """The answer; None: there is none that can be read."""
        select = (
            "SELECT answer FROM answers"
            " WHERE key = ? AND typeof(answer) = 'blob' AND length(answer) <= ?"
        )
        with self._lock:
            row = self._connection.execute(select, (key, _LARGEST_BYTES)).fetchone()
        if row is not None:
            with contextlib.suppress(ValueError, RecursionError):
                return json.loads(row[0].decode())
        return None

    def put(self, key: str, answer: Any) -> None:
        """Keeps an answer.

        Raises:
            sqlite3.Error: The disk refused it.
            TypeError: It is no plain data.
        """
        with self._lock:
            self._insert(key, answer)

    def _insert(self, key: str, answer: Any) -> None:
        text = json.dumps(answer, ensure_ascii=False, default=_fields)
        insert = "INSERT OR REPLACE INTO answers (key, answer) VALUES (?, ?)"
        self._connection.execute(insert, (key, repair(text).encode()))


def _fields(value: Any) -> Any:
    """Of LiteLLM's objects the fields; nothing else is more than data."""
    if isinstance(value, BaseModel):
        return dict(value)
    msg = f"{type(value).__name__} is no data"
    raise TypeError(msg)
