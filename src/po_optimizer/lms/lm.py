"""A dspy.LM whose every call stands in the ledger and obeys the guards.

The metering sits in DSPy's engine, which is asked only when the response cache has
no answer: so a guard sees exactly the calls that are paid for, each retry included,
and the cache stays DSPy's own.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from logging import getLogger
from pathlib import Path
from typing import Any

import dspy
from dspy.lm15 import Request, Response
from dspy.utils.callback import BaseCallback

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.answer_repair import count
from po_optimizer.lms.meter import CallScope, LMIdentity, Meter, in_use
from po_optimizer.lms.other_lms import metering_every_lm
from po_optimizer.lms.program_threads import own_threads
from po_optimizer.lms.stops import LMNotReady
from po_optimizer.lms.threads import num_threads
from po_optimizer.params import LMParams

logger = getLogger(__name__)

_TOLD = {
    "length": "was cut at lm.max_tokens={most}; raise it if this happens often",
    "content_filter": "was withheld by the server's filter",
}


class MeteredEngine:
    """A DSPy engine that checks, times and records each attempt of another one.

    Args:
        connect: Gives the engine that reaches the LM; called on first use, so that
            a run whose answers are all cached starts no server.
        meter: Shared with the LM.
        cost: (prompt tokens, completion tokens) -> US dollars or None.
        json_schema: The LM takes a JSON schema as response format.
        json_object: The LM takes the plain JSON response format.
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
    ) -> None:
        self.meter = meter
        self.supports_response_schema = json_schema
        formats = {"response_format"} if json_schema or json_object else set()
        self.supported_params = frozenset({"temperature", "max_tokens"} | formats)
        self._connect = connect
        self._cost = cost
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
        engine = self._connected()
        with self.meter.attempt(self.meter.slug) as usage:
            response: Response = engine.complete(request)
            # no prompt has 0 tokens: a server that says so reports none
            sent = count(response.usage.input_tokens) or None
            made = count(response.usage.output_tokens) if sent else None
            usage.update(
                prompt_tokens=sent,
                completion_tokens=made,
                cost_usd=self._cost(sent, made),
            )
        self._tell(response.finish_reason, request.config.max_tokens)
        self._compare(request.model, response.model)
        return response

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


class MeteredLM(dspy.LM):
    """A dspy.LM with a meter, its own cache folder and typed parameters.

    Args:
        model: DSPy's model string, provider/name.
        engine: The metering engine.
        params: What the configuration says of this LM.
        slug: Provider and model, fit for a path.
        where: The endpoint in words, without secrets.
        cache_folder: Of this endpoint's response cache.
        weights: Gives the digest of what answers, where the server tells it.
        kwargs: dspy.LM's own arguments.
    """

    meters_itself: bool = True  # the metering of every other LM leaves it alone

    def __init__(
        self,
        model: str,
        engine: MeteredEngine,
        params: LMParams,
        *,
        slug: str,
        where: str,
        cache_folder: Path,
        weights: Callable[[], str | None] = lambda: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, engine=engine, **kwargs)
        self.meter = engine.meter
        self.params = params
        self.slug = slug
        self.where = where
        self._cache_folder = cache_folder
        self._weights = weights

    @cached_property
    def weights(self) -> str | None:
        """The digest of what answers, asked once; None: the server tells none."""
        return self._weights()

    @cached_property
    def cache_folder(self) -> Path:
        """Of this endpoint, and of the weights that answer there today."""
        name = self._cache_folder.name
        tail = f"-{self.weights[:12]}" if self.weights else ""
        return self._cache_folder.with_name(f"{name}{tail}")

    def _get_initial_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        # DSPy asks more of OpenAI's reasoning models than OpenAI does
        return {name: value for name, value in kwargs.items() if value is not None}

    @cached_property
    def num_threads(self) -> int:
        """Calls that are asked at a time."""
        return num_threads(self.params, self.meter.secret)

    @property
    def knows_cost(self) -> bool:
        """Whether a call's cost can be told from its tokens."""
        return bool(self.engine.knows_cost)

    @cached_property
    def adapter(self) -> Any:
        """How DSPy asks this LM."""
        adapters = {"json": dspy.JSONAdapter, "chat": dspy.ChatAdapter}
        return adapters[self.params.adapter](use_native_function_calling=False)

    @property
    def identity(self) -> LMIdentity:
        """What stands in the ledger and in errors."""
        return LMIdentity(self.slug, self.where, self.cache_folder)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """DSPy's call; a cache hit is recorded, an LM out of reach stops the run."""
        with self.meter.call(self.identity):
            return super().__call__(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """The same call, awaited; the other tasks of the loop go on meanwhile."""
        return await asyncio.to_thread(self, *args, **kwargs)


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

    Every other LM that is called in the block, a judge's say, is on its account.
    `dspy.configure` works only in the thread that first called it; a context works
    in every node of every Kedro runner.
    """
    scope = CallScope(stage, trial, optimization_id, lm.meter)
    settings: dict[str, Any] = {"lm": lm, "adapter": lm.adapter, "po_call_scope": scope}
    if callbacks is not None:
        settings["callbacks"] = callbacks
    with (
        in_use(lm.meter),
        metering_every_lm(),
        own_threads(),
        dspy.context(**settings, num_threads=lm.num_threads),
    ):
        yield


class LMAsked(BaseException):
    """An LM was about to be asked; no `except Exception` of a judge hides it."""


class _Refuse(BaseCallback):
    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        raise LMAsked


@contextmanager
def no_lm_calls() -> Iterator[None]:
    """Within the block a call of any dspy.LM raises LMAsked before it is sent."""
    callbacks = [*dspy.settings.get("callbacks", []), _Refuse()]
    with dspy.context(lm=dspy.LM("openai/none", api_key="none"), callbacks=callbacks):
        yield
