"""Answers as data: one SQLite file of JSON, of which nothing is ever executed."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from po_optimizer.files.private import open_private, use_wal
from po_optimizer.lms.answer_repair import repair

FILE = "answers.sqlite"
_SCHEMA = "CREATE TABLE answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL)"
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_LARGEST_BYTES = 2**27  # of one answer: some times what is taken from a server
_WAIT_SECONDS = 60  # for another process that writes


class Answers:
    """The answers of one endpoint, shared by threads and processes.

    Every answer is its own transaction in WAL mode: a killed process loses the one in
    flight. Who can write to the folder can change an answer, and nothing else.

    Args:
        folder: Made when missing.

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
            path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        """Makes the table."""
        execute = self._connection.execute
        execute("PRAGMA trusted_schema=OFF")
        if not self._is_ours():
            execute("BEGIN IMMEDIATE")
            if not self._is_ours():
                execute(_SCHEMA)
            execute("COMMIT")
        use_wal(self._connection)

    def _is_ours(self) -> bool:
        """False of an empty file; a table, view or trigger of another's is an error."""
        select = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        schema = [row[0] for row in self._connection.execute(select)]
        if schema not in ([], [_SCHEMA]):
            raise sqlite3.DatabaseError(f"{FILE} holds something else than answers")
        return bool(schema)

    def get(self, key: str, parts: Mapping[str, Any]) -> Any:
        """The answer; None: there is none that can be read.

        Args:
            key: The digest of the parts.
            parts: What it is kept by; other stores look for these.
        """
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
        text = _ENCODER.encode(answer)
        insert = "INSERT OR REPLACE INTO answers (key, answer) VALUES (?, ?)"
        with self._lock:
            self._connection.execute(insert, (key, repair(text).encode()))
