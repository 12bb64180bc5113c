"""From LM parameters to a MeteredLM: model string, engine, key, cache, ledger."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from po_optimizer.errors import SettingError
from po_optimizer.lms.bounds import BoundedEngine
from po_optimizer.lms.embedded.server import KEY, serve
from po_optimizer.lms.extra import ExtraEngine
from po_optimizer.lms.http import AnswerTransport
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.lm import MeteredEngine, MeteredLM
from po_optimizer.lms.meter import Meter
from po_optimizer.lms.providers import litellm, look_at_provider, ollama, vertex
from po_optimizer.lms.providers.litellm_answers import LiteLLMAnswers
from po_optimizer.lms.providers.litellm_http import bounded_client
from po_optimizer.lms.providers.openai_compatible import v1
from po_optimizer.lms.thoughts import CleanAnswers
from po_optimizer.params import LMParams

_PREFIX = {
    "embedded": "openai",
    "openai": "openai",
    "ollama": "ollama_chat",
    "vertex": "vertex_ai",
    "litellm": "",  # the model's name begins with LiteLLM's word for the provider
}


def lm_slug(provider: str, model: str) -> str:
    """Provider and model, fit for a path: lower case, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", f"{provider}-{model}".lower()).strip("-.")


def make_lm(
    params: LMParams, folder: str | Path, *, run_id: str, api_key: str | None = None
) -> MeteredLM:
    """A ready dspy.LM; nothing is asked or started before its first call.

    Args:
        params: Which model, how it is asked, how it is reached.
        folder: Where this LM's ledger and response cache lie.
        run_id: For the ledger.
        api_key: Kept in memory only.
    """
    slug = lm_slug(params.provider, params.model)
    folder = Path(folder)
    meter = Meter(Ledger(folder / "ledger.sqlite"), run_id, slug, secret=api_key)
    engine = MeteredEngine(
        _connector(params, api_key),
        meter,
        price(params),
        json_schema=params.structured_output == "json_schema",
        json_object=params.structured_output != "none",
    )
    return MeteredLM(
        f"{_PREFIX[params.provider]}/{params.model}".removeprefix("/"),
        engine,
        params,
        slug=slug,
        where=endpoint_words(params),
        cache_folder=folder / "response_cache" / _cache_name(params),
        weights=lambda: ollama.weights(params, api_key, folder),
        temperature=params.temperature,
        max_tokens=params.max_tokens,
        num_retries=params.num_retries,
    )


def endpoint_words(params: LMParams) -> str:
    """Which LM answers, without secrets: address, or the weights and their digest."""
    if params.embedded is not None and params.provider == "embedded":
        weights = params.embedded
        return f"embedded {weights.path or weights.file} {weights.sha256 or ''}".strip()
    return f"{params.provider} {params.api_base or 'default endpoint'}"


def price(params: LMParams) -> Callable[[int | None, int | None], float | None]:
    """(prompt tokens, completion tokens) -> US dollars, or None when unknown.

    The embedded LM costs nothing, nor does Ollama on one's own machine; what
    Ollama runs in its makers' cloud is unknown. Vertex AI and all that LiteLLM reaches
    follow LiteLLM's table.
    """
    rates = params.price

    def cost(prompt: int | None, completion: int | None) -> float | None:
        if params.provider == "embedded":
            return 0.0
        if rates is None and params.provider == "ollama":
            return None if params.model.endswith("cloud") else 0.0
        if prompt is None or completion is None:
            return None
        if rates is None:
            return _PRICES.get(params.provider, _unknown)(
                params.model, prompt, completion
            )
        return (prompt * rates.prompt + completion * rates.completion) / 1e6

    return cost


def _unknown(model: str, prompt: int, completion: int) -> None:
    """No table has the prices of a server of somebody's own."""


_PRICES: dict[str, Callable[[str, int, int], float | None]] = {
    "vertex": vertex.cost,
    "litellm": litellm.cost,
}


def _cache_name(params: LMParams) -> str:
    """One folder for what DSPy's cache key leaves out, but changes the answers."""
    parts = [
        endpoint_words(params),
        params.bounds.model_dump_json() if params.bounds else "",
    ]
    if params.extra:
        parts.append(json.dumps(params.extra, sort_keys=True))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]


def _connector(params: LMParams, api_key: str | None) -> Callable[[], Any]:
    plain = _plain_connector(params, api_key)

    def connect() -> Any:
        engine: Any = CleanAnswers(plain())
        sends_temperature = params.temperature is not None
        engine = ExtraEngine(engine, _extra(params), temperature=sends_temperature)
        return BoundedEngine(engine, params.bounds) if params.bounds else engine

    return connect


def _extra(params: LMParams) -> dict[str, Any]:
    """What each request carries beside the chat."""
    if params.provider == "ollama":
        return ollama.extra_arguments(params)
    if params.provider == "vertex":
        return vertex.extra_arguments(params)
    return params.extra


def _plain_connector(params: LMParams, api_key: str | None) -> Callable[[], Any]:
    if params.provider == "embedded":
        return lambda: _embedded_engine(params)
    if params.provider == "openai":
        return lambda: _openai_engine(params, params.api_base, api_key)
    return lambda: _litellm_engine(params, api_key)


def _embedded_engine(params: LMParams) -> Any:
    if params.embedded is None:
        raise SettingError(
            "lm.embedded",
            None,
            "provider embedded needs the weights to run",
            "Name them in parameters_lm.yml.",
        )
    address = serve(params.embedded, params.context_tokens)
    return _openai_engine(params, address, KEY)


def _openai_engine(params: LMParams, base: str | None, api_key: str | None) -> Any:
    from dspy.clients.engines.lm15_engine import (  # noqa: PLC0415 -- not at import
        LM15Engine,
    )
    from dspy.lm15 import RouterConfig  # noqa: PLC0415

    if base is None:
        raise SettingError(
            "lm.api_base",
            None,
            "an OpenAI-compatible server needs its address",
            "Set it, or PO_LM_BASE_URL in the environment.",
        )
    config = RouterConfig(
        env={},  # an OPENAI_API_KEY lying about is not for this server
        base_urls={"openai-chat": v1(base)},
        api_keys={"openai-chat": api_key or "none"},
        transport=AnswerTransport(params.timeout_seconds),
    )
    return LM15Engine(config)


def _litellm_engine(params: LMParams, api_key: str | None) -> Any:
    from dspy.clients.engines.litellm_engine import LiteLLMEngine  # noqa: PLC0415

    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no network

    for finding in look_at_provider(params, api_key):
        if finding.problem:
            raise finding.as_error()
    options: dict[str, Any] = {"timeout": params.timeout_seconds}
    if params.api_base is not None:
        options["api_base"] = params.api_base
    # Vertex AI knows people by their Google credentials, not by a key
    if api_key is not None and params.provider != "vertex":
        options["api_key"] = api_key
    engine = LiteLLMEngine(**options)
    if litellm.takes_client(params):
        engine.client_options["client"] = bounded_client(params.timeout_seconds)
    return LiteLLMAnswers(engine)
