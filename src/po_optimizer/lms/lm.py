"""A dspy.LM whose calls are recorded in the ledger and checked by the guards."""

import asyncio
import hashlib
import json
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import dspy
from dspy.utils.callback import BaseCallback

from po_optimizer.lms.check import Check
from po_optimizer.lms.engine import ProviderEngine
from po_optimizer.lms.identity import LMIdentity
from po_optimizer.lms.meter import CallScope, Meter, in_use
from po_optimizer.lms.metering import metering_every_lm
from po_optimizer.lms.providers import Provider
from po_optimizer.patching import own_threads


class MeteredLM(dspy.LM):
    """A dspy.LM with a meter, its own cache folder and typed parameters.

    Args:
        provider: How the LM is reached, with its parameters.
        meter: Checks and records its calls; it has the LM's slug.
        folder: Where the response cache lies.
    """

    def __init__(self, provider: Provider, meter: Meter, *, folder: Path) -> None:
        params = provider.params
        super().__init__(
            provider.model,
            engine=ProviderEngine(provider),
            temperature=params.temperature,
            max_tokens=params.max_tokens,
            num_retries=params.num_retries,
        )
        self.provider = provider
        self.params = params
        self.meter = meter
        self.slug = meter.slug
        self.where = provider.where
        self._folder = folder

    @cached_property
    def weights(self) -> str | None:
        """The digest of the weights, requested once; None: the server has none."""
        return self.provider.weights(self._folder)

    @cached_property
    def cache_folder(self) -> Path:
        """The response cache's folder for this endpoint and its present weights.

        One folder for all that DSPy's cache key leaves out and that changes answers.
        """
        params, bounds = self.params, self.params.bounds
        parts = [self.where, bounds.model_dump_json() if bounds else ""]
        if params.extra:
            parts.append(json.dumps(params.extra, sort_keys=True))
        name = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]
        tail = f"-{self.weights[:12]}" if self.weights else ""
        return self._folder / "response_cache" / f"{name}{tail}"

    @cached_property
    def num_threads(self) -> int:
        """LM calls at a time."""
        return self.provider.concurrency()

    def check_provider(self) -> list[Check]:
        """Checks that the LM can answer; their names contain the LM's."""
        return [
            finding.model_copy(update={"name": f"{finding.name} ({self.slug})"})
            for finding in self.provider.check_provider()
        ]

    def _get_initial_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        # DSPy asks more of OpenAI's reasoning models than OpenAI does
        return {name: value for name, value in kwargs.items() if value is not None}

    @property
    def knows_cost(self) -> bool:
        """Whether a call's cost follows from its tokens."""
        return self.provider.knows_cost

    @cached_property
    def adapter(self) -> Any:
        """How DSPy asks this LM."""
        adapters = {"json": JSONAdapter, "chat": ChatAdapter, "xml": dspy.XMLAdapter}
        return adapters[self.params.adapter](use_native_function_calling=False)

    @property
    def identity(self) -> LMIdentity:
        """The LM as the ledger, the cache and errors name it."""
        key = self.engine.provider.api_key
        secrets = () if key is None else (key,)
        return LMIdentity(self.slug, self.where, self.cache_folder, secrets)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """DSPy's call; a cache hit is recorded, an LM out of reach stops the run."""
        with metering_every_lm():
            return super().__call__(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """The same call, awaited; the other tasks of the loop go on meanwhile."""
        return await asyncio.to_thread(self, *args, **kwargs)


class _DescribesOnce:
    """Of an adapter: describes a signature once, until that is changed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kept: WeakKeyDictionary[Any, tuple[list[Any], dict[Any, Any]]]
        self._kept = WeakKeyDictionary()

    def format_system_message(self, signature: Any) -> str:
        """The description of the signature in a prompt."""
        make = super().format_system_message  # type: ignore[misc] # an adapter's
        return str(self._once(signature, "", make))

    def _once(self, signature: Any, name: Any, make: Callable[[Any], Any]) -> Any:
        """What `make` gives, or gave for the same signature and name."""
        parts = [signature.__doc__]
        for field, info in signature.model_fields.items():
            parts += [field, info.annotation, info.default]
            parts += (info.json_schema_extra or {}).values()
        same_parts, values = self._kept.get(signature, ([], {}))
        same = len(parts) == len(same_parts)
        if not (same and all(map(operator.is_, parts, same_parts))):
            values = {}
            self._kept[signature] = parts, values
        if name not in values:
            values[name] = make(signature)
        return values[name]


class ChatAdapter(_DescribesOnce, dspy.ChatAdapter):
    """DSPy's, which describes a signature once."""


class JSONAdapter(_DescribesOnce, dspy.JSONAdapter):
    """DSPy's, which describes a signature and makes its schema once."""

    def _prepare_response_format(
        self, lm: Any, lm_kwargs: dict[str, Any], signature: Any
    ) -> None:
        prepare = super()._prepare_response_format

        def arguments(signature: Any) -> dict[str, Any]:
            prepared: dict[str, Any] = {}
            prepare(lm, prepared, signature)
            return prepared

        # another LM may be asked in another way
        way = "response_format" in lm.supported_params, lm.supports_response_schema
        lm_kwargs.update(self._once(signature, way, arguments))


@contextmanager
def use_lm(
    lm: MeteredLM,
    *,
    stage: str,
    trial: int | None = None,
    optimization_id: str | None = None,
    callbacks: list[Any] | None = None,
) -> Iterator[None]:
    """Runs DSPy programs of the block on this LM, recorded under the given stage.

    Calls of other LMs in the block, such as a judge's, are recorded in its ledger.
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
    """An LM call was refused; a BaseException, so that no judge swallows it."""


class _Refuse(BaseCallback):
    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        raise LMAsked


@contextmanager
def no_lm_calls() -> Iterator[None]:
    """Within the block a call of any dspy.LM raises LMAsked before it is sent."""
    callbacks = [*dspy.settings.get("callbacks", []), _Refuse()]
    with dspy.context(lm=dspy.LM("openai/none", api_key="none"), callbacks=callbacks):
        yield
