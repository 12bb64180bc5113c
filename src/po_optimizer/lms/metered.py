"""A dspy.LM whose every call stands in the ledger and obeys the guards.

The metering sits in DSPy's engine, which is asked only when the response cache has
no answer: so a guard sees exactly the calls that are paid for, each retry included,
and the cache stays DSPy's own.
"""

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from logging import getLogger
from pathlib import Path
from typing import Any

import dspy
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMError,
    LMInvalidRequestError,
    LMUnsupportedModelError,
)

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.ledger import CallRow, Ledger
from po_optimizer.lms.own_threads import own_threads
from po_optimizer.lms.rate_limit import RateLimit
from po_optimizer.lms.response_cache import endpoint
from po_optimizer.lms.secret import scrub, without
from po_optimizer.lms.stop import (
    Interrupted,
    LedgerWriteFailed,
    LMNotReady,
    LMUnreachable,
    StopRun,
    asked_to_stop,
)
from po_optimizer.lms.threads import num_threads
from po_optimizer.params import LMParams

logger = getLogger(__name__)

_OF_THE_PROMPT = (None, 400, 413, 422)
_TOLD = {
    "length": "was cut at lm.max_tokens={most}; raise it if this happens often",
    "content_filter": "was withheld by the server's filter",
}


@dataclass(frozen=True)
class CallScope:
    """Who makes a call; travels in dspy.settings, so DSPy's threads know it too."""

    stage: str = "outside"
    trial: int | None = None
    optimization_id: str | None = None


@dataclass(eq=False)
class Meter:
    """What all copies of one LM share.

    Args:
        ledger: Where calls are recorded.
        run_id: Of the Kedro run.
        slug: Of the LM.
        guards: Called before each paid attempt, in the calling thread; one that
            raises a StopRun ends the run.
        stopped: The StopRun that was raised; every later paid attempt raises it
            again, whatever DSPy made of the first.
        trial: The running trial, for calls whose scope names none.
        secret: The API key, which a server may repeat in its errors.
        in_flight: Calls that have begun and not ended, in all threads.
    """

    ledger: Ledger
    run_id: str
    slug: str
    guards: list[Callable[[], None]] = field(default_factory=list)
    stopped: StopRun | None = None
    trial: int | None = None
    secret: str | None = field(default=None, repr=False)
    in_flight: int = field(default=0, init=False)
    _changed: threading.Condition = field(
        default_factory=threading.Condition, init=False, repr=False, compare=False
    )

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call is in flight for the length of the block."""
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
            self._changed.wait_for(lambda: self.in_flight == 0)

    def words(self, error: BaseException, most: int) -> str:
        """What an error says, without the secret, at most so many characters."""
        # the libraries' advice and tracebacks are about their own arguments
        text = re.split(r"\n\n  |\nTraceback ", str(error), maxsplit=1)[0]
        return without(self.secret, text)[:most]

    def check(self) -> None:
        """Lets a paid attempt pass, or raises the StopRun that forbids it."""
        if self.stopped is not None:
            raise self.stopped
        for guard in list(self.guards):
            try:
                guard()
            except StopRun as stop:
                self.stopped = stop
                raise

    def resume(self) -> None:
        """Forgets a stop, for the next node of the same process; but not a Ctrl-C."""
        self.stopped = Interrupted() if asked_to_stop.is_set() else None

    def record(
        self, *, paid: bool, started: datetime, seconds: float, **rest: Any
    ) -> None:
        """Adds a row to the ledger.

        Raises:
            LedgerWriteFailed: The disk refused it.
        """
        scope: CallScope = dspy.settings.get("po_call_scope") or CallScope()
        row = CallRow(
            started=started.isoformat(timespec="milliseconds"),
            run_id=self.run_id,
            stage=scope.stage,
            trial=scope.trial if scope.trial is not None else self.trial,
            optimization_id=scope.optimization_id,
            lm=self.slug,
            paid=paid,
            seconds=round(seconds, 4),
            **rest,
        )
        try:
            self.ledger.record(row)
        except sqlite3.Error as error:
            raise LedgerWriteFailed(str(self.ledger.path), str(error)) from error

    def __deepcopy__(self, memo: dict[int, object]) -> "Meter":
        """The same meter: a deep copy of a program must not lose its calls."""
        return self


class MeteredEngine:
    """A DSPy engine that checks, times and records each attempt of another one.

    Args:
        connect: Gives the engine that reaches the LM; called on first use, so that
            a run whose answers are all cached starts no server.
        meter: Shared with the LM.
        cost: (prompt tokens, completion tokens) -> US dollars or None.
        json_schema: The LM takes a JSON schema as response format.
        json_object: The LM takes the plain JSON response format.
        limit: What each attempt waits for; None: for nothing.
    """

    supports_function_calling = False
    supports_reasoning = False

    def __init__(
        self,
        connect: Callable[[], Any],
        meter: Meter,
        cost: Callable[[int | None, int | None], float | None],
        *,
        json_schema: bool,
        json_object: bool,
        limit: RateLimit | None = None,
    ) -> None:
        self.meter = meter
        self.supports_response_schema = json_schema
        formats = {"response_format"} if json_schema or json_object else set()
        self.supported_params = frozenset({"temperature", "max_tokens"} | formats)
        self._connect = connect
        self._cost = cost
        self._limit = limit
        self._engine: Any = None
        self._told: set[str] = set()
        self._lock = threading.Lock()

    @property
    def knows_cost(self) -> bool:
        """Whether a call's cost can be told from its tokens."""
        return self._cost(1, 1) is not None

    def complete(self, request: Request) -> Response:
        """One attempt, checked against the guards and recorded."""
        self.meter.check()
        _paid.happened = True
        engine = self._connected()
        turn = self._await_turn(request)
        started, clock = datetime.now(timezone.utc), time.perf_counter()
        try:
            response: Response = engine.complete(request)
        except Exception as error:
            scrub(error, self.meter.secret)
            words = self.meter.words(error, 400)
            self._record(started, clock, error=f"{type(error).__name__}: {words}")
            raise
        # no prompt has 0 tokens: a server that says so reports none
        sent = response.usage.input_tokens or None
        made = response.usage.output_tokens if sent else None
        self._record(
            started,
            clock,
            prompt_tokens=sent,
            completion_tokens=made,
            cost_usd=self._cost(sent, made),
        )
        if self._limit and turn and sent:
            self._limit.settle(turn, sent + (made or 0))
        self._tell(response.finish_reason, request.config.max_tokens)
        self._compare(request.model, response.model)
        return response

    def _await_turn(self, request: Request) -> int | None:
        if self._limit is None:
            return None
        return self._limit.take_turn(request, self.meter.check)

    def _tell(self, reason: str, most: int | None) -> None:
        """Says once why an answer is not whole; what it is worth the metric says."""
        if reason in _TOLD and reason not in self._told:
            self._told.add(reason)
            what = _TOLD[reason].format(most=most)
            logger.warning("An answer of %s %s", self.meter.slug, what)

    def _compare(self, asked: str, answered: str) -> None:
        """Says once that another model answered: results are named after the asked."""
        one, other = asked.split("/", 1)[-1].lower(), answered.lower()
        if one in other or other in asked.lower() or answered in self._told:
            return  # a version or a path beside the name is no other model
        if other.endswith(".gguf"):
            return  # llama.cpp names its weights' file, to whatever name it is asked by
        self._told.add(answered)
        logger.warning(
            "%s was asked for, but the server says that %s answered; results are named "
            "after the first. If that is no alias, correct lm.model or the server",
            asked.split("/", 1)[-1],
            answered,
        )

    def _record(self, started: datetime, clock: float, **rest: Any) -> None:
        seconds = time.perf_counter() - clock
        self.meter.record(paid=True, started=started, seconds=seconds, **rest)

    def _connected(self) -> Any:
        with self._lock:
            if self._engine is None:
                try:
                    self._engine = self._connect()
                except PoOptimizerError as error:
                    # DSPy would retry or swallow it; a wrong setting stays wrong
                    self.meter.stopped = LMNotReady(error)
                    raise self.meter.stopped from error
            return self._engine

    def __deepcopy__(self, memo: dict[int, object]) -> "MeteredEngine":
        """The same engine: a connection is not copied with a program."""
        return self


_paid = threading.local()
_in_use: list[Meter] = []


class MeteredLM(dspy.LM):
    """A dspy.LM with a meter, its own cache folder and typed parameters.

    Args:
        model: DSPy's model string, provider/name.
        engine: The metering engine.
        params: What the configuration says of this LM.
        slug: Provider and model, fit for a path.
        where: The endpoint in words, without secrets.
        cache_folder: Of this endpoint's response cache.
        kwargs: dspy.LM's own arguments.
    """

    def __init__(
        self,
        model: str,
        engine: MeteredEngine,
        params: LMParams,
        *,
        slug: str,
        where: str,
        cache_folder: Path,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, engine=engine, **kwargs)
        self.meter = engine.meter
        self.params = params
        self.slug = slug
        self.where = where
        self.cache_folder = cache_folder

    @cached_property
    def num_threads(self) -> int:
        """Calls that are asked at a time."""
        return num_threads(self.params, self.meter.secret)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """DSPy's call; a cache hit is recorded, an LM out of reach stops the run."""
        started, clock = datetime.now(timezone.utc), time.perf_counter()
        _paid.happened = False
        try:
            with self.meter.call(), endpoint(self.cache_folder):
                answer = super().__call__(*args, **kwargs)
        except LMError as error:
            if _refuses_the_prompt(error):
                raise  # the LM is there, and the next prompt may suit it
            stop = LMUnreachable(self.slug, self.where, self.meter.words(error, 300))
            self.meter.stopped = stop
            raise stop from error
        except StopRun as stop:
            self.meter.stopped = stop  # the other threads stop paying too
            raise
        if not _paid.happened:
            seconds = time.perf_counter() - clock
            self.meter.record(paid=False, started=started, seconds=seconds)
        return answer

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """The same call, awaited; the other tasks of the loop go on meanwhile."""
        return await asyncio.to_thread(self, *args, **kwargs)


def _refuses_the_prompt(error: LMError) -> bool:
    if isinstance(error, LMUnsupportedModelError):
        return False  # no prompt is answered by a model that is not there
    refused = isinstance(error, ContextWindowExceededError | LMInvalidRequestError)
    return refused and error.status in _OF_THE_PROMPT


@contextmanager
def use_lm(
    lm: MeteredLM,
    *,
    stage: str,
    trial: int | None = None,
    optimization_id: str | None = None,
    callbacks: list[Any] | None = None,
) -> Iterator[None]:
    """Runs DSPy programs on this LM, with its adapter and its place in the ledger.

    `dspy.configure` works only in the thread that first called it; a context works
    in every node of every Kedro runner.
    """
    scope = CallScope(stage, trial, optimization_id)
    use_native = False
    adapters = {"json": dspy.JSONAdapter, "chat": dspy.ChatAdapter}
    adapter = adapters[lm.params.adapter](use_native_function_calling=use_native)
    settings: dict[str, Any] = {"lm": lm, "adapter": adapter, "po_call_scope": scope}
    if callbacks is not None:
        settings["callbacks"] = callbacks
    lm.meter.resume()
    _in_use.append(lm.meter)
    try:
        with own_threads(), dspy.context(**settings, num_threads=lm.num_threads):
            yield
    finally:
        _in_use.remove(lm.meter)


def meters_in_use() -> list[Meter]:
    """The meters of all `use_lm` blocks that are open, in all threads."""
    return list(_in_use)
