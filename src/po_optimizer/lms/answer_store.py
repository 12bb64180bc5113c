"""Answers as data: one SQLite file of JSON, of which nothing is ever executed."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable
from logging import getLogger
from pathlib import Path
from typing import Any

from dspy.clients.legacy_outputs import plain

from po_optimizer.files.private import open_private, use_wal
from po_optimizer.lms.answer_repair import repair
from po_optimizer.lms.earlier_cache import earlier_answers

logger = getLogger(__name__)

FILE = "answers.sqlite"
_SCHEMA = "CREATE TABLE answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL)"
_LARGEST_BYTES = 2**27  # of one answer: some times what is taken from a server
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
                self._take_over(earlier_answers(folder))
            execute("COMMIT")
        use_wal(self._connection)
        execute(f"PRAGMA busy_timeout={_WRITE_SECONDS * 1000}")

    def _is_ours(self) -> bool:
        """False of an empty file; a table, view or trigger of another's is an error."""
        select = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        schema = [row[0] for row in self._connection.execute(select)]
        if schema not in ([], [_SCHEMA]):
            raise sqlite3.DatabaseError(f"{FILE} holds something else than answers")
        return bool(schema)

    def _take_over(self, answers: Iterable[tuple[str, Any]]) -> None:
        n = 0
        for key, answer in answers:
            self._insert(key, answer)
            n += 1
        if n:
            logger.info("%d answers of an earlier version's cache were taken over", n)

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
        text = repair(json.dumps(plain(answer), ensure_ascii=False)).encode()
        insert = "INSERT OR REPLACE INTO answers (key, answer) VALUES (?, ?)"
        self._connection.execute(insert, (key, text))
