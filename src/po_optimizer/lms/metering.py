"""Meters every LM that is called during a run: the run's, judges, pinned ones, others.

The LMs themselves stay as they are. For the time of a run, DSPy's functions that carry
out a call (`dspy.clients.execution`) are replaced, and in classes of LMs that do not
use these, the methods with which they answer. An engine is asked only when there is no
kept answer: so a guard sees exactly the calls that are paid for, each retry included.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

from dspy._vendor.lm15.result import response_to_events
from dspy._vendor.lm15.serde import request_to_dict
from dspy.clients import execution
from dspy.clients.base_lm import BaseLM
from dspy.clients.call_result import CallResult, usage_dict
from dspy.clients.engines.legacy_engine import AsyncLegacyEngine, LegacyEngine
from dspy.clients.errors import error_boundary
from dspy.clients.legacy_outputs import value
from dspy.lm15 import Request, Response, TextPart, TransportError

from po_optimizer.lms.answer_repair import defect
from po_optimizer.lms.cache import KeptAnswer, identifying, numbered
from po_optimizer.lms.engine import ProviderEngine
from po_optimizer.lms.identity import LMIdentity, identify
from po_optimizer.lms.meter import CallUsage, Meter, meter_of_run
from po_optimizer.lms.providers.base import stated_cost
from po_optimizer.patching import ProcessWide, plain_type_adapters

_NOTHING = (TextPart(text=""),)
_OTHER_FORMS = {"output", "content", "candidates"}
"""Where OpenAI's Responses API, Anthropic and Google put a message; it may be empty."""
_CHAT = "/chat/completions"
_OWN_METHODS = ("__call__", "acall", "forward", "aforward")
_execute, _aexecute = execution.execute, execution.aexecute
_select, _canonical = execution._engine, execution._canonical


@contextmanager
def _replaced() -> Iterator[None]:
    with ExitStack() as stack:
        for name, function in _REPLACEMENTS.items():
            stack.enter_context(patch.object(execution, name, function))
        stack.enter_context(plain_type_adapters())
        for cls in set(_subclasses(BaseLM)):
            for name in _OWN_METHODS:
                method = vars(cls).get(name)
                if inspect.isfunction(method):
                    metered = _metered_method(method)
                    stack.enter_context(patch.object(cls, name, metered))
        yield


metering_every_lm = ProcessWide(_replaced)
"""Within the block, in all threads, LMs are metered; blocks may be nested."""


def _canonical_once(call: Any, *, compat: Any = None) -> Request:
    """The request of a call, made once for its key and for its engine."""
    if compat is not None:
        return _canonical(call, compat=compat)
    if "po_request" not in vars(call):
        call.po_request = _canonical(call)
    request: Request = call.po_request
    return request


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    """Classes of LMs that are neither DSPy's nor ours."""
    for below in cls.__subclasses__():
        if below.__module__.partition(".")[0] not in {"dspy", "po_optimizer"}:
            yield below
        yield from _subclasses(below)


def _is_ours(lm: Any) -> bool:
    """Whether the project built the LM, which then has a meter of its own."""
    return isinstance(getattr(lm, "engine", None), ProviderEngine)


def _metering(lm: Any, options: Mapping[str, Any]) -> tuple[Meter, LMIdentity] | None:
    """The meter of a call, and whose call it is; None: there is no run.

    Args:
        lm: Of any kind.
        options: Of this call.
    """
    if _is_ours(lm):
        return lm.meter, lm.identity
    meter = meter_of_run()
    if meter is None:
        return None
    return meter, identify(lm, meter.ledger.path.parent, options)


def _metered(lm: Any, call: Any) -> Any:
    """The result of a call: the kept one, or the one that is paid for and kept."""
    with _kept(lm, call, awaited=False) as kept:
        if kept is None:
            return _execute(lm, call)
        return kept.load(lm, call) or kept.keep(_execute(lm, _uncached(call)))


async def _ametered(lm: Any, call: Any) -> Any:
    if _is_ours(lm):
        return await asyncio.to_thread(_metered, lm, call)
    with _kept(lm, call, awaited=True) as kept:
        if kept is None:
            return await _aexecute(lm, call)
        return kept.load(lm, call) or kept.keep(await _aexecute(lm, _uncached(call)))


def _uncached(call: Any) -> Any:
    """The call past DSPy's own cache, which is not for the answers of a run."""
    past = object.__new__(type(call))
    vars(past).update(vars(call), cache=False)
    return past


@contextmanager
def _kept(lm: Any, call: Any, *, awaited: bool) -> Iterator[KeptAnswer | None]:
    """Meters the call; gives the place of its answer, None: it is not kept."""
    metering = _metering(lm, call.legacy)
    if metering is None:
        yield None
        return
    meter, identity = metering
    with meter.call(identity):
        try:
            parts = _parts(lm, call, awaited=awaited)
            kept = KeptAnswer(identity.cache_folder, parts) if parts else None
        except TypeError:  # an argument that is no data
            kept = None
        with kept.claimed(waits=not awaited) if kept else nullcontext():
            yield kept


def _parts(lm: Any, call: Any, *, awaited: bool) -> dict[str, Any] | None:
    """What the answer is kept by; None: it is not kept.

    Of our own LMs it is the request as the engine gets it. DSPy's keys depend on its
    interface: the next version would not find the answers that this one paid for.
    """
    if not call.cache:
        return numbered(identifying(call.key(lm, awaited)))
    if not _is_ours(lm):
        return identifying(call.key(lm, awaited))
    with error_boundary(lm.model):
        request = request_to_dict(execution._canonical(call))
    options = call.legacy if call.request is None else call.kwargs
    return {"request": request, "n": call.n, "rollout_id": options.get("rollout_id")}


def _metered_engine(lm: Any, call: Any, asynchronous: bool) -> Any:
    """Wraps the engine that DSPy chooses, so that each attempt is metered."""
    backend, request, provider = _select(lm, call, asynchronous)
    metering = _metering(lm, call.legacy)
    if metering is None:
        return backend, request, provider
    kind = _AsyncAttempts if asynchronous else _Attempts
    return kind(backend, lm, provider, *metering), request, provider


_REPLACEMENTS = {
    "execute": _metered,
    "aexecute": _ametered,
    "_engine": _metered_engine,
    "_canonical": _canonical_once,
}


class _Attempts:
    """An engine of DSPy's whose every attempt is checked and recorded.

    Args:
        backend: The engine.
        lm: The LM that is asked.
        provider: DSPy's name of it, for prices.
        meter: Checks and records the attempts.
        identity: Of the LM.
    """

    def __init__(
        self,
        backend: Any,
        lm: Any,
        provider: str | None,
        meter: Meter,
        identity: LMIdentity,
    ) -> None:
        self._backend = backend
        self._lm = lm
        self._provider = provider
        self._meter = meter
        self._identity = identity

    def complete(self, request: Request) -> Response:
        """One attempt."""
        with self._attempt() as usage:
            response: Response = self._backend.complete(request)
            self._report(usage, request, response)
            _require_message(response)
        return response

    def complete_legacy(self, *args: Any, **kwargs: Any) -> CallResult:
        """One attempt by way of LiteLLM or of the LM's own `forward`."""
        with self._attempt() as usage:
            result: CallResult = self._backend.complete_legacy(*args, **kwargs)
            _report(usage, result)
            _require_message(result)
        return result

    def stream(self, request: Request) -> Iterator[Any]:
        """One attempt, piece by piece; its usage comes with the last."""
        if isinstance(self._backend, ProviderEngine):  # cleans whole answers only
            yield from response_to_events(self.complete(request))
            return
        with self._attempt() as usage:
            for event in self._backend.stream(request):
                self._report_event(usage, event)
                yield event

    @contextmanager
    def _attempt(self) -> Iterator[CallUsage]:
        # a class's own forward is checked itself, if it does not ask another LM
        by_class = isinstance(self._backend, LegacyEngine | AsyncLegacyEngine)
        if not by_class or {"forward", "aforward"} & set(vars(self._lm)):
            self._meter.check()
        own = self._backend if isinstance(self._backend, ProviderEngine) else None
        if own is not None:
            own.connect()  # what it takes is no time of the attempt
        with self._meter.attempt(self._identity) as usage:
            yield usage

    def _report(self, usage: CallUsage, request: Request, response: Any) -> None:
        if not isinstance(response, Response):
            return  # DSPy raises its own error
        if isinstance(self._backend, ProviderEngine):  # with a price of its own
            provider = self._backend.provider
            cost = provider.cost(response)
            _report(usage, CallResult(usage=provider.tokens(response), cost=cost))
            return
        result = CallResult.native(response, provider=self._provider)
        execution._price_result(self._lm, result, response, self._provider, request)
        stated = stated_cost((response.provider_data or {}).get("usage"))
        result.cost = result.cost if stated is None else stated
        _report(usage, result)

    def _report_event(self, usage: CallUsage, event: Any) -> None:
        if getattr(event, "usage", None) is not None:
            _report(usage, CallResult(usage=usage_dict(event, self._provider)))


class _AsyncAttempts(_Attempts):
    """The same for calls that are awaited."""

    async def complete(self, request: Request) -> Response:
        """One attempt."""
        with self._attempt() as usage:
            response: Response = await self._backend.complete(request)
            self._report(usage, request, response)
            _require_message(response)
        return response

    async def complete_legacy(self, *args: Any, **kwargs: Any) -> CallResult:
        """One attempt by way of LiteLLM or of the LM's own `aforward`."""
        with self._attempt() as usage:
            result: CallResult = await self._backend.complete_legacy(*args, **kwargs)
            _report(usage, result)
            _require_message(result)
        return result

    async def stream(self, request: Request) -> Any:
        """One attempt, piece by piece; its usage comes with the last."""
        with self._attempt() as usage:
            async for event in self._backend.stream(request):
                self._report_event(usage, event)
                yield event


def _require_message(answer: Response | CallResult) -> None:
    """Refuses an answer without a message, which DSPy takes for an empty text.

    Raises:
        dspy.lm15.TransportError: It has none; the server may be asked again.
    """
    problem = ""
    if isinstance(answer, CallResult):
        problem = "" if answer.outputs else "the answer holds no message"
    elif isinstance(answer, Response) and answer.message.parts == _NOTHING:
        raw = answer.provider_data or {}
        if raw and not _OTHER_FORMS & raw.keys():
            problem = defect(raw, _CHAT)
    if problem:
        raise TransportError(problem)


def _report(usage: CallUsage, answer: Any) -> None:
    """Takes the usage and the cost from a result of DSPy's or a user's `forward`."""
    tokens = getattr(answer, "usage", None)
    usage.report(
        _first(tokens, "prompt_tokens", "input_tokens"),
        _first(tokens, "completion_tokens", "output_tokens"),
    )
    by_litellm = getattr(answer, "_hidden_params", None) or {}
    own = isinstance(answer, CallResult)
    cost = answer.cost if own else by_litellm.get("response_cost")
    stated = stated_cost(tokens)
    usage.cost_usd = cost if stated is None else stated


def _first(tokens: Any, *names: str) -> Any:
    """The count that has one of these names; None: it is not reported."""
    counts = (value(tokens, name) for name in names)
    return next((count for count in counts if count is not None), None)


def _metered_method(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a method of a user's LM class, so that its calls are metered."""
    # with super() it leaves the asking to DSPy, whose way is checked at its end
    delegates = "__class__" in inspect.unwrap(method).__code__.co_freevars

    @contextmanager
    def metered(lm: Any, kwargs: dict[str, Any]) -> Iterator[CallUsage]:
        metering = None if _is_ours(lm) else _metering(lm, kwargs)
        if metering is None:
            yield CallUsage()
            return
        meter, identity = metering
        with meter.call(identity):
            if not delegates:
                meter.check()
            with meter.attempt(identity) as usage:
                yield usage

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def ask(lm: Any, *args: Any, **kwargs: Any) -> Any:
            with metered(lm, kwargs) as usage:
                answer = await method(lm, *args, **kwargs)
                _report(usage, answer)
            return answer

        return ask

    @functools.wraps(method)
    def ask_now(lm: Any, *args: Any, **kwargs: Any) -> Any:
        with metered(lm, kwargs) as usage:
            answer = method(lm, *args, **kwargs)
            _report(usage, answer)
        return answer

    return ask_now
