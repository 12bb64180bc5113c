"""Changes to DSPy and its libraries that hold for a block, in all threads."""

import contextvars
import copy
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import MethodType
from typing import Any
from unittest.mock import patch

import tqdm  # type: ignore[import-untyped]
from dspy.adapters import utils
from dspy.primitives.base_module import BaseModule
from dspy.utils.unbatchify import Unbatchify
from pydantic import TypeAdapter

PLAIN = (str, int, float, bool, list, dict, tuple, set, type(None))
_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in PLAIN}
_submit = ThreadPoolExecutor.submit
_start = threading.Thread.start


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


def _submit_here(
    pool: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Future[Any]:
    run, nothing = contextvars.copy_context().run, contextvars.Context()
    # a pool's thread outlives the block: only its tasks take the settings along
    return nothing.run(lambda: _submit(pool, run, work, *args, **kwargs))


def _start_here(thread: threading.Thread) -> None:
    run = functools.partial(contextvars.copy_context().run, thread.run)
    thread.run = run  # type: ignore[method-assign]
    _start(thread)


def _disabled_bars() -> AbstractContextManager[Any]:
    original = tqdm.tqdm.__init__

    @functools.wraps(original)
    def make(bar: Any, *args: Any, **kwargs: Any) -> None:
        kwargs["disable"] = True
        try:
            original(bar, *args, **kwargs)
        except KeyError:
            # tqdm forgets a disabled bar; with several threads it may be gone already
            bar.n, bar.total, bar.leave = 0, None, False

    return patch.object(tqdm.tqdm, "__init__", make)


no_bars = ProcessWide(_disabled_bars)
"""Within the block new tqdm bars are disabled.

dspy.Parallel clears the list of all bars at each start, and fails at random where
several examples are run at a time.
"""


@contextmanager
def _patched() -> Iterator[None]:
    submit = patch.object(ThreadPoolExecutor, "submit", _submit_here)
    with no_bars(), submit, patch.object(threading.Thread, "start", _start_here):
        yield


own_threads = ProcessWide(_patched)
"""Within the block a new thread, or a pool's task, has the settings of who began it.

After `dspy.configure` a program's own threads find the LM; a context, which several
nodes can have at a time, DSPy hands on to its own threads only.
"""


def _deepcopy(module: BaseModule) -> Any:
    """As DSPy copies a module, but what cannot be copied is all that is shared.

    DSPy shares the whole attribute then: all agents of a list for the lock in one's
    tool, so that a change of the copy's prompts changes the original's.
    """
    try:
        return copy.deepcopy(module)
    except Exception:  # noqa: BLE001 -- whatever a part of it raises
        return copy_of(module, {})


def copy_of(value: Any, memo: dict[Any, Any]) -> Any:
    """A copy of the value, or what the memo has for its id."""
    attempt = dict(memo)
    try:
        copied = copy.deepcopy(value, attempt)
    except Exception:  # noqa: BLE001 -- likewise
        copied = _rebuilt(value, memo)
    else:
        # temporary values must live as long as their ids stand in the memo
        memo.setdefault("alive", []).append(attempt.pop(id(attempt), None))
        memo.update(attempt)
    memo[id(value)] = copied
    return copied


def _rebuilt(value: Any, memo: dict[Any, Any]) -> Any:
    """A new value of copied parts; of any other class a shallow copy, or itself."""
    if isinstance(value, BaseModule):
        new = memo[id(value)] = value.__class__.__new__(value.__class__)
        vars(new).update({k: copy_of(v, memo) for k, v in vars(value).items()})
        return new
    if isinstance(value, MethodType):
        return MethodType(value.__func__, copy_of(value.__self__, memo))
    if type(value) is dict:
        return {k: copy_of(v, memo) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copy_of(v, memo) for v in value)
    try:
        return copy.copy(value)
    except Exception:  # noqa: BLE001 -- a lock, a thread
        return value


@contextmanager
def _whole() -> Iterator[None]:
    ended = threading.Event()
    ended.set()
    # of an index's thread a failed copy has nothing but what its class has
    never_began = patch.object(Unbatchify, "stop_event", ended, create=True)
    with never_began, patch.object(BaseModule, "deepcopy", _deepcopy):
        yield


whole_copies = ProcessWide(_whole)
"""Within the block a copy of a program shares nothing that can be copied."""
