"""One asks, the others wait: the same prompt at the same moment is paid once.

Without it two threads that find the cache empty both ask, and so do two workers of
a sweep whose configurations share prompts.
"""

import contextlib
import errno
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from po_optimizer.lms.private_files import open_private

if sys.platform != "win32":
    import fcntl

_HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN}
_POLL_SECONDS = 0.05
_asker: ContextVar[object] = ContextVar("po_cache_asker")
_alone: ContextVar[bool] = ContextVar("po_asked_alone", default=False)


@contextmanager
def one_asker() -> Iterator[None]:
    """What the block asks for is one call's, in whichever thread it is asked."""
    token = _asker.set(object())
    try:
        yield
    finally:
        _asker.reset(token)


@contextmanager
def asked_alone() -> Iterator[None]:
    """In the block nobody is waited for.

    Calls that are awaited share a few threads: those that wait for an answer would
    keep the thread from the one that is to bring it.
    """
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def _me() -> object:
    return _asker.get(None) or threading.get_ident()


class SingleFlight:
    """Who asks for which key, in this process and in others that use the same file.

    Processes know of each other by a lock on one byte of the file, the key's: the
    operating system lifts it when a process dies. Where there are no such locks a
    prompt may be paid twice; nothing fails.

    Args:
        path: Made when missing; it stays empty.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_private(path)
        self._owners: dict[str, object] = {}
        self._changed = threading.Condition()

    def take(self, key: str) -> bool:
        """Returns when nobody else asks for the key; it is then this call's.

        Args:
            key: Hexadecimal digits.

        Returns:
            False if it was this call's already, or is not waited for.
        """
        me = _me()
        with self._changed:
            if self._owners.get(key) == me:
                return False
            if key in self._owners and _alone.get():
                return False
            self._changed.wait_for(lambda: key not in self._owners)
            self._owners[key] = me
        while not self._lock(key) and not _alone.get():
            time.sleep(_POLL_SECONDS)
        return True

    def release(self, key: str) -> None:
        """Lets the next one ask or find the answer; nothing if it is not taken."""
        with self._changed:
            if self._owners.pop(key, None) is not None:
                self._unlock(key)
                self._changed.notify_all()

    def release_mine(self) -> None:
        """Releases what this call holds: it ended without an answer."""
        me = _me()
        with self._changed:
            mine = [key for key, owner in self._owners.items() if owner == me]
            for key in mine:
                self.release(key)

    def _lock(self, key: str) -> bool:
        """True if no other process holds it, or none can tell."""
        if sys.platform == "win32":
            return True
        how = fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            fcntl.lockf(self._file, how, 1, _byte(key))
        except OSError as error:
            return error.errno not in _HELD_BY_ANOTHER
        return True

    def _unlock(self, key: str) -> None:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _byte(key))


def _byte(key: str) -> int:
    """The key's place in the file, which may lie far behind its end."""
    return int(key[:15], 16)
