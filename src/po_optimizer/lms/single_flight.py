"""One asks, the others wait: the same prompt at the same moment is paid once.

Without it two threads that find the cache empty would both ask.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
    """Which call of this process asks for which key."""

    def __init__(self) -> None:
        self._owners: dict[str, object] = {}
        self._changed = threading.Condition()

    def take(self, key: str) -> bool:
        """Returns when nobody else asks for the key; it is then this call's.

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
        return True

    def release(self, key: str) -> None:
        """Lets the next one ask or find the answer; nothing if it is not taken."""
        with self._changed:
            if self._owners.pop(key, None) is not None:
                self._changed.notify_all()

    def release_mine(self) -> None:
        """Releases what this call holds: it ended without an answer."""
        me = _me()
        with self._changed:
            mine = [key for key, owner in self._owners.items() if owner == me]
            for key in mine:
                self.release(key)
