"""Files of one's own: what is asked of an LM is for its owner's eyes."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import BinaryIO


def open_private(path: Path) -> BinaryIO:
    """The file for reading and appending, made when missing, for its owner alone.

    Raises:
        OSError: The disk refuses it, or it is a link, which could lead anywhere.
    """
    flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o600), "a+b")


def use_wal(connection: sqlite3.Connection) -> None:
    """Lets readers and a writer work at once; a kill loses what was not committed.

    While another process does the same SQLite says that the file is locked, without
    waiting: the mode is the file's, so either of them is enough.
    """
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
