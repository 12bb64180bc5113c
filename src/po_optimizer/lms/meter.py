"""What every call of a run passes: guards before it, a row in the ledger after it.

LM calls can be nested: a user's LM may call another LM, and DSPy retries a call. Only
the innermost call reaches a server and is paid for, so a call is recorded only if
nothing inside it was recorded.
"""

import asyncio
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from logging import getLogger
from typing import Any

import dspy
from dspy.clients._http import finite_seconds
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMError,
    LMInvalidRequestError,
    LMUnsupportedModelError,
)

from po_optimizer.lms.answer_repair import count
from po_optimizer.lms.identity import LMIdentity
from po_optimizer.lms.ledger import CallRow, Ledger
from po_optimizer.lms.stops import (
    STEP_SECONDS,
    Interrupted,
    LMUnreachable,
    StopRun,
    WriteFailed,
    stop_requested,
)
from po_optimizer.lms.visible import first_words, scrub

logger = getLogger(__name__)

_LONG_SECONDS = 10.0  # a wait that is worth a line in the log
_OF_THE_PROMPT = (None, 400, 413, 422)
# Anthropic and Google say with 400 that no prompt at all is answered any more
_OF_THE_ACCOUNT = re.compile(
    r"credit balance|billing|quota|api key not valid", re.IGNORECASE
)
_CLIENT_LIBRARIES = {
    *("httpx", "httpcore", "openai", "anthropic", "requests", "urllib3", "aiohttp"),
    *("litellm", "google", "botocore", "grpc"),
}


OUTSIDE_TRIALS = 0
"""As the trial of a scope: its calls are on no trial's account."""


@dataclass(frozen=True)
class CallScope:
    """The stage and trial of a call; kept in dspy.settings, for DSPy's threads too.

    Args:
        stage: The pipeline stage.
        trial: The optimizer's trial.
        optimization_id: What all restarts of one optimization share.
        meter: Of the run; it also records LMs that have no meter of their own.
        n_asked: Calls by their kind, of LMs that DSPy does not cache.
    """

    stage: str = "outside"
    trial: int | None = None
    optimization_id: str | None = None
    meter: "Meter | None" = None
    n_asked: Counter[str] = field(default_factory=Counter, compare=False, repr=False)

    def __deepcopy__(self, memo: dict[int, object]) -> "CallScope":
        """The same scope: it is one run's."""
        return self


@dataclass
class CallUsage:
    """What one attempt took, as far as the server reported it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None

    def report(self, prompt: Any, completion: Any) -> None:
        """Takes over the token counts that are plausible."""
        # no prompt has 0 tokens: a server that reports 0 does not count them
        self.prompt_tokens = count(prompt) or None
        self.completion_tokens = count(completion) if self.prompt_tokens else None


@dataclass
class _Layer:
    """One of several nested calls: when it began, and whether it was recorded."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.perf_counter)
    has_row: bool = False


_retry_after: ContextVar[float] = ContextVar("po_retry_after", default=0.0)
_layer: ContextVar[_Layer | None] = ContextVar("po_lm_call_layer", default=None)
_in_use: list["Meter"] = []


@contextmanager
def _inner_layer() -> Iterator[_Layer]:
    outer, inner = _layer.get(), _Layer()
    token = _layer.set(inner)
    try:
        yield inner
    finally:
        _layer.reset(token)
        if outer is not None:
            outer.has_row |= inner.has_row


@dataclass(eq=False)
class Meter:
    """Checks and records the calls of all copies of one LM.

    Args:
        ledger: Where calls are recorded.
        run_id: Of the Kedro run.
        slug: Of the LM.
        guards: Called before each paid attempt, in the calling thread; one that
            raises a StopRun ends the run.
        stopped: The StopRun that was raised; every later paid attempt raises it
            again, even if DSPy swallowed the first.
        trial: The running trial, for calls whose scope names none.
        in_flight: Calls that have begun and not ended, in all threads.
    """

    ledger: Ledger
    run_id: str
    slug: str
    guards: list[Callable[[], None]] = field(default_factory=list)
    stopped: StopRun | None = None
    trial: int | None = None
    in_flight: int = field(default=0, init=False)
    _changed: threading.Condition = field(
        default_factory=threading.Condition, init=False, repr=False, compare=False
    )

    @contextmanager
    def call(self, lm: LMIdentity) -> Iterator[None]:
        """One LM call with all its attempts; without any attempt it is a cache hit.

        Raises:
            LMUnreachable: There is no answer, after all attempts.
        """
        _retry_after.set(0.0)
        try:
            with self._flying(), _inner_layer() as layer:
                yield
                self._record(layer, lm.slug, CallUsage(), paid=False)
        except StopRun as stop:
            self.stopped = stop  # the other threads stop paying too
            raise
        except Exception as error:
            if not _is_unreachable(error):
                raise  # the LM is there, and the next prompt may suit it
            problem = first_words(error, 300, *lm.in_no_error())
            self.stopped = LMUnreachable(lm.slug, lm.where, problem)
            raise self.stopped from error

    @contextmanager
    def attempt(self, lm: LMIdentity) -> Iterator[CallUsage]:
        """Records one paid attempt; the block fills in its usage.

        Raises:
            StopRun: The run was stopped while the server's Retry-After was waited for.
        """
        self._await_retry(lm.slug)
        usage = CallUsage()
        with _inner_layer() as layer:
            try:
                yield usage
            except Exception as error:
                _take_retry_after(error)
                secrets = lm.in_no_error()
                scrub(error, *secrets)
                problem = first_words(error, 400, *secrets)
                problem = f"{type(error).__name__}: {problem}"
                self._record(layer, lm.slug, usage, error=problem)
                raise
            self._record(layer, lm.slug, usage)

    @contextmanager
    def _flying(self) -> Iterator[None]:
        with self._changed:
            self.in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self.in_flight -= 1
                self._changed.notify_all()

    def wait_until_idle(self) -> None:
        """Returns once no call is in flight: its answer is kept by then."""
        with self._changed:
            while self.in_flight:
                self._changed.wait(STEP_SECONDS)

    def check(self) -> None:
        """Raises the StopRun that forbids another paid attempt, if there is one."""
        if self.stopped is not None:
            raise self.stopped
        for guard in list(self.guards):
            try:
                guard()
            except StopRun as stop:
                self.stopped = stop
                raise

    def resume(self) -> None:
        """Clears a stop for the next node of this process, but not a Ctrl-C."""
        self.stopped = Interrupted() if stop_requested.is_set() else None

    def _await_retry(self, slug: str) -> None:
        seconds = _retry_after.get()
        _retry_after.set(0.0)
        if seconds >= _LONG_SECONDS:
            logger.warning(
                "The server of %s wants to be asked again in %d s (Retry-After)."
                " Ctrl-C ends the run in order meanwhile, so does budget.max_minutes",
                slug,
                seconds,
            )
        while seconds > 0:
            self.check()
            time.sleep(min(seconds, STEP_SECONDS))
            seconds -= STEP_SECONDS

    def _record(
        self,
        layer: _Layer,
        slug: str,
        usage: CallUsage,
        *,
        paid: bool = True,
        error: str | None = None,
    ) -> None:
        """Adds a row to the ledger, unless a nested call did.

        Raises:
            WriteFailed: The disk refused it.
        """
        if layer.has_row:
            return
        scope: CallScope = dspy.settings.get("po_call_scope") or CallScope()
        row = CallRow(
            started=layer.started.isoformat(timespec="milliseconds"),
            run_id=self.run_id,
            stage=scope.stage,
            trial=(self.trial if scope.trial is None else scope.trial) or None,
            optimization_id=scope.optimization_id,
            lm=slug,
            paid=paid,
            seconds=round(time.perf_counter() - layer.clock, 4),
            error=error,
            **vars(usage),
        )
        try:
            self.ledger.record(row)
        except sqlite3.Error as refusal:
            path = str(self.ledger.path)
            raise WriteFailed("the ledger", path, str(refusal)) from refusal
        layer.has_row = True

    def __deepcopy__(self, memo: dict[int, object]) -> "Meter":
        """The same meter: a deep copy of a program must not lose its calls."""
        return self


def _take_retry_after(error: Exception) -> None:
    """Postpones the Retry-After wait to the next attempt, where a stop ends it."""
    seconds = finite_seconds(getattr(error, "retry_after", None))
    if seconds and not in_event_loop():
        _retry_after.set(seconds)
        error.retry_after = 0.0  # type: ignore[attr-defined]


def in_event_loop() -> bool:
    """Whether an event loop runs; there DSPy waits without blocking other tasks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_unreachable(error: Exception) -> bool:
    """Whether the LM is unreachable, as opposed to refusing this prompt."""
    if isinstance(error, LMUnsupportedModelError):
        return True  # no prompt is answered by a model that is not there
    if isinstance(error, ContextWindowExceededError | LMInvalidRequestError):
        account = _OF_THE_ACCOUNT.search(str(error))
        return error.status not in _OF_THE_PROMPT or bool(account)
    if isinstance(error, LMError | OSError):
        return True
    libraries = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    refused = getattr(error, "status_code", None) in _OF_THE_PROMPT[1:]
    return bool(libraries & _CLIENT_LIBRARIES) and not refused


@contextmanager
def in_use(meter: Meter) -> Iterator[None]:
    """Marks the meter as in use by the block, so that Ctrl-C can stop it."""
    meter.resume()
    _in_use.append(meter)
    try:
        yield
    finally:
        _in_use.remove(meter)


def meters_in_use() -> list[Meter]:
    """The meters of all `use_lm` blocks that are open, in all threads."""
    return list(_in_use)


def meter_of_run() -> Meter | None:
    """The meter that records LMs without a meter; None: there is no run.

    A thread that was started without its context has no scope: then it is the run
    that began last.
    """
    scope: CallScope | None = dspy.settings.get("po_call_scope")
    if scope is not None and scope.meter is not None:
        return scope.meter
    return _in_use[-1] if _in_use else None
