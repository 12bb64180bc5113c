"""Changes to DSPy and its libraries that hold for a block, in all threads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from dspy.adapters import utils
from pydantic import TypeAdapter

PLAIN = (str, int, float, bool, list, dict, tuple, set, type(None))
_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in PLAIN}


class ProcessWide:
    """Process-wide changes for a block that several threads may enter.

    The first one in sets it up, and the last one out takes it down.

    Args:
        make: Gives the block that makes the changes and takes them back.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._n = 0
        self._changes = ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Within the block the changes hold."""
        with self._lock:
            if not self._n:
                self._changes.enter_context(self._make())
            self._n += 1
        try:
            yield
        finally:
            with self._lock:
                self._n -= 1
                if not self._n:
                    self._changes.close()


@contextmanager
def replaced(module: Any, name: str, item: Any) -> Iterator[None]:
    """Within the block the module has that item under the name."""
    original = getattr(module, name)
    setattr(module, name, item)
    try:
        yield
    finally:
        setattr(module, name, original)


def _type_adapter(kind: Any, **options: Any) -> TypeAdapter[Any]:
    plain = None if options or type(kind) is not type else _ADAPTERS.get(kind)
    return plain or TypeAdapter(kind, **options)


plain_type_adapters = ProcessWide(lambda: replaced(utils, "TypeAdapter", _type_adapter))
"""Within the block DSPy makes no adapter of its own for each value of a plain type."""
