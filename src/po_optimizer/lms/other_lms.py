"""Meters every LM that is called during a run: judges, pinned LMs and any other.

The LMs themselves stay as they are. For the time of a run, DSPy's functions that carry
out a call (`dspy.clients.execution`) are replaced, and in classes of LMs that do not
use these, the methods with which they answer.
"""

import asyncio
import functools
import hashlib
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

from dspy._vendor.lm15.serde import request_to_dict
from dspy.clients import execution
from dspy.clients.base_lm import BaseLM
from dspy.clients.call_result import CallResult
from dspy.clients.engines.legacy_engine import AsyncLegacyEngine, LegacyEngine
from dspy.clients.errors import error_boundary
from dspy.lm15 import Request, Response

from po_optimizer.lms.cache import (
    KeptAnswer,
    identifying,
    is_secret,
    numbered,
)
from po_optimizer.lms.meter import CallUsage, LMIdentity, Meter, meter_of_run
from po_optimizer.patching import ProcessWide, plain_type_adapters

# LiteLLM fetches a price map from the network at import unless told not to
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

_ADDRESSES = ("api_base", "base_url")
_SECRET_VARIABLE = re.compile(r"_(API_KEY|ACCESS_KEY|SECRET|TOKEN|PASSWORD)$")
_SHORTEST_SECRET = 6
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


def _meter(lm: Any) -> Meter | None:
    """The meter to use; None: the LM meters itself, or there is no run."""
    return None if _meters_itself(lm) else meter_of_run()


def _meters_itself(lm: Any) -> bool:
    return bool(getattr(lm, "meters_itself", False))


def _metered(lm: Any, call: Any) -> Any:
    """The result of a call: the kept one, or the one that is paid for and kept."""
    with _kept(lm, call, awaited=False) as kept:
        if kept is None:
            return _execute(lm, call)
        return kept.load(lm, call) or kept.keep(_execute(lm, _uncached(call)))


async def _ametered(lm: Any, call: Any) -> Any:
    if _meters_itself(lm):
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
    own = _meters_itself(lm)
    meter = lm.meter if own else meter_of_run()
    if meter is None:
        yield None
        return
    identity = lm.identity if own else identify(lm, meter, call.legacy)
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
    if not _meters_itself(lm):
        return identifying(call.key(lm, awaited))
    with error_boundary(lm.model):
        request = request_to_dict(execution._canonical(call))
    options = call.legacy if call.request is None else call.kwargs
    return {"request": request, "n": call.n, "rollout_id": options.get("rollout_id")}


def _metered_engine(lm: Any, call: Any, asynchronous: bool) -> Any:
    """Wraps the engine that DSPy chooses, so that each attempt is metered."""
    backend, request, provider = _select(lm, call, asynchronous)
    meter = _meter(lm)
    if meter is None:
        return backend, request, provider
    kind = _AsyncAttempts if asynchronous else _Attempts
    attempts = kind(backend, lm, provider, meter, identify(lm, meter, call.legacy))
    return attempts, request, provider


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
        self, backend: Any, lm: Any, provider: str | None, meter: Meter, identity: Any
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
        return response

    def complete_legacy(self, *args: Any, **kwargs: Any) -> CallResult:
        """One attempt by way of LiteLLM or of the LM's own `forward`."""
        with self._attempt() as usage:
            result: CallResult = self._backend.complete_legacy(*args, **kwargs)
            _report_result(usage, result)
        return result

    def stream(self, request: Request) -> Iterator[Any]:
        """One attempt, piece by piece; its usage comes with the last."""
        with self._attempt() as usage:
            for event in self._backend.stream(request):
                _report_event(usage, event)
                yield event

    @contextmanager
    def _attempt(self) -> Iterator[CallUsage]:
        # a class's own forward is checked itself, if it does not ask another LM
        by_class = isinstance(self._backend, LegacyEngine | AsyncLegacyEngine)
        if not by_class or {"forward", "aforward"} & set(vars(self._lm)):
            self._meter.check()
        identity = self._identity
        with self._meter.attempt(identity.slug, identity.secrets) as usage:
            yield usage

    def _report(self, usage: CallUsage, request: Request, response: Any) -> None:
        if isinstance(response, Response):  # DSPy says what is wrong with another
            result = CallResult.native(response, provider=self._provider)
            execution._price_result(self._lm, result, response, self._provider, request)
            _report_result(usage, result)


class _AsyncAttempts(_Attempts):
    """The same for calls that are awaited."""

    async def complete(self, request: Request) -> Response:
        """One attempt."""
        with self._attempt() as usage:
            response: Response = await self._backend.complete(request)
            self._report(usage, request, response)
        return response

    async def complete_legacy(self, *args: Any, **kwargs: Any) -> CallResult:
        """One attempt by way of LiteLLM or of the LM's own `aforward`."""
        with self._attempt() as usage:
            result: CallResult = await self._backend.complete_legacy(*args, **kwargs)
            _report_result(usage, result)
        return result

    async def stream(self, request: Request) -> Any:
        """One attempt, piece by piece; its usage comes with the last."""
        with self._attempt() as usage:
            async for event in self._backend.stream(request):
                _report_event(usage, event)
                yield event


def _report_result(usage: CallUsage, result: CallResult) -> None:
    tokens = result.usage or {}
    usage.report(tokens.get("prompt_tokens"), tokens.get("completion_tokens"))
    usage.cost_usd = result.cost


def _report_event(usage: CallUsage, event: Any) -> None:
    if (tokens := getattr(event, "usage", None)) is not None:
        usage.report(tokens.input_tokens, tokens.output_tokens)


def _report_answer(usage: CallUsage, answer: Any) -> None:
    """Takes the usage from an answer of a user's `forward`, in OpenAI's form."""
    tokens = getattr(answer, "usage", None)
    if not isinstance(tokens, Mapping):
        tokens = getattr(tokens, "__dict__", {})
    usage.report(tokens.get("prompt_tokens"), tokens.get("completion_tokens"))


def _metered_method(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a method of a user's LM class, so that its calls are metered."""
    # with super() it leaves the asking to DSPy, whose way is checked at its end
    delegates = "__class__" in inspect.unwrap(method).__code__.co_freevars

    @contextmanager
    def metered(lm: Any, kwargs: dict[str, Any]) -> Iterator[CallUsage]:
        meter = _meter(lm)
        if meter is None:
            yield CallUsage()
            return
        identity = identify(lm, meter, kwargs)
        with meter.call(identity):
            if not delegates:
                meter.check()
            with meter.attempt(identity.slug, identity.secrets) as usage:
                yield usage

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def ask(lm: Any, *args: Any, **kwargs: Any) -> Any:
            with metered(lm, kwargs) as usage:
                answer = await method(lm, *args, **kwargs)
                _report_answer(usage, answer)
            return answer

        return ask

    @functools.wraps(method)
    def ask_now(lm: Any, *args: Any, **kwargs: Any) -> Any:
        with metered(lm, kwargs) as usage:
            answer = method(lm, *args, **kwargs)
            _report_answer(usage, answer)
        return answer

    return ask_now


def identify(lm: Any, meter: Meter, options: Mapping[str, Any]) -> LMIdentity:
    """The identity of an LM that the project did not build.

    Args:
        lm: A `dspy.LM`, or an instance of a user's LM class.
        meter: Of the run.
        options: Of this call; they go over the LM's.
    """
    model, slug = model_name(lm), slug_of(lm)
    settings = {**(getattr(lm, "kwargs", None) or {}), **options}
    endpoint = "\n".join(
        [*_whose(lm), *_addresses(model, settings), *_headers(settings)]
    )
    folder = hashlib.sha256(endpoint.encode()).hexdigest()[:12]
    return LMIdentity(
        slug,
        "its own endpoint",
        meter.ledger.path.parent / "response_cache" / folder,
        tuple(_secrets(model, settings)),
    )


def model_name(lm: Any) -> str:
    """The LM's model, or its class's name if it names none."""
    return str(getattr(lm, "model", None) or type(lm).__name__)


def slug_of(lm: Any) -> str:
    """The LM's name in the ledger and in paths."""
    return re.sub(r"[^a-z0-9.]+", "-", model_name(lm).lower()).strip("-.")


def _whose(lm: Any) -> Iterator[str]:
    """The classes that answer, and the texts that an engine's object holds."""
    yield f"{type(lm).__module__}.{type(lm).__qualname__}"
    engine = getattr(lm, "engine", None)
    if not isinstance(engine, str | None):
        yield f"{type(engine).__module__}.{type(engine).__qualname__}"
        texts = getattr(engine, "__dict__", {}).items()
        yield from sorted(f"{k}={v}" for k, v in texts if isinstance(v, str))


def _addresses(model: str, settings: Mapping[str, Any]) -> list[str]:
    """Where the LM answers: its arguments, else the provider's variables."""
    addresses = [str(settings[name]) for name in _ADDRESSES if settings.get(name)]
    provider = model.partition("/")[0].upper()
    names = (f"{provider}_{name.upper()}" for name in _ADDRESSES)
    return addresses or [os.environ[name] for name in names if os.environ.get(name)]


def _headers(settings: Mapping[str, Any]) -> Iterator[str]:
    """What may choose who answers, and may be secret: no key of an answer has it."""
    for name, value in sorted(settings.items()):
        if "header" in name and isinstance(value, Mapping) and value:
            yield f"{name}={sorted(value.items())}"


def _secrets(model: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """What must not be repeated: keys, headers and addresses, longest first."""
    texts = _addresses(model, settings)
    for name, value in settings.items():
        if is_secret(name, value):
            values = value.values() if isinstance(value, Mapping) else [value]
            texts += [text for text in values if isinstance(text, str)]
    texts += [v for k, v in os.environ.items() if _SECRET_VARIABLE.search(k)]
    long = (text for text in texts if len(text) >= _SHORTEST_SECRET)
    yield from sorted(set(long), key=len, reverse=True)
