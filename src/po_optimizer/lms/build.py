"""Builds the LM of a run from parameters, a model's name or an existing LM."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import dspy
from dspy.clients.capabilities import resolve
from dspy.clients.model_metadata import model_info
from dspy.lm15 import LM15Error
from pydantic import ValidationError

from po_optimizer.errors import SettingError, field_problems
from po_optimizer.lms.identity import ADDRESSES, identify, lm_slug, model_name, slug_of
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.lms.meter import Meter
from po_optimizer.lms.providers import (
    Provider,
    make_provider,
    provider_class,
    provider_names,
)
from po_optimizer.params.lm import LMParams
from po_optimizer.secret import is_secret_argument

_UNKNOWN_WINDOW = 10**6
"""Tokens, of an LM that no table has; a probe shows whether it cuts prompts."""

_UNSET_ANSWER = 1000
"""Tokens of an answer, for checks only, of an LM made without `max_tokens`."""

_OWN_FIELDS = {"temperature", "max_tokens", "max_completion_tokens"}

_ADAPTERS = {dspy.JSONAdapter: "json", dspy.XMLAdapter: "xml"}


def make_lm(
    params: LMParams, folder: str | Path, *, run_id: str, api_key: str | None = None
) -> MeteredLM:
    """A ready dspy.LM; nothing is asked or started before its first call.

    Args:
        params: Which model, how it is asked, how it is reached.
        folder: Where this LM's ledger and response cache lie.
        run_id: For the ledger.
        api_key: Kept in memory only.

    Raises:
        SettingError: There is no such provider.
    """
    provider = make_provider(params, api_key)
    slug, folder = lm_slug(params.provider, params.model), Path(folder)
    meter = Meter(Ledger(folder / "ledger.sqlite"), run_id, slug)
    return MeteredLM(provider, meter, folder=folder)


def lm_of(
    lm: "dspy.BaseLM | str",
    folder: str | Path,
    *,
    run_id: str,
    name: str = "lm",
    adapter: Any = None,
    num_threads: int | None = None,
) -> MeteredLM:
    """The LM of a run: "embedded", any other model string of DSPy's, or an LM.

    Ollama is asked in the project's way, which sends the length of the context and
    looks first whether the model was pulled, and so are Gemini and Claude on Vertex AI,
    without LiteLLM; every other string is `dspy.LM(string)`.

    Args:
        lm: The LM or its name.
        folder: Of ledgers and answers; each LM has a folder of its own in it.
        run_id: For the ledger.
        name: Of the argument, for errors.
        adapter: How DSPy asks; None: DSPy's own default.
        num_threads: Calls at a time; None: as many as the server can, else 8.

    Raises:
        SettingError: It is neither, or DSPy cannot make an LM of the string.
    """
    if not isinstance(lm, str | dspy.BaseLM) or not lm:
        raise _no_lm(name, lm, "it is no LM")
    if isinstance(lm, str) and (params := _own_way(name, lm)) is not None:
        update: dict[str, Any] = {"num_threads": num_threads or 0}
        if adapter is not None:
            update["adapter"] = _adapter_name(adapter)
        params = params.model_copy(update=update)
        place = Path(folder) / lm_slug(params.provider, params.model)
        built = make_lm(params, place, run_id=run_id)
        if type(adapter) not in (type(None), *_ADAPTERS, dspy.ChatAdapter):
            built.adapter = adapter  # ours add to DSPy's, not to a user's own
        return built
    if isinstance(lm, str):
        if "/" not in lm:
            raise _no_lm(name, lm, "it names no provider before a slash")
        try:
            lm = dspy.LM(lm)
        except ValueError as error:
            raise _no_lm(name, lm, str(error)) from error
    return adopt_lm(
        lm, folder, run_id=run_id, adapter=adapter, num_threads=num_threads or 8
    )


def _own_way(name: str, lm: str) -> LMParams | None:
    """How a provider of ours asks what this names; None: DSPy asks it."""
    try:
        ways = [provider_class(word).params_of(lm) for word in provider_names()]
    except ValidationError as error:  # of what its environment variables say
        problems = "; ".join(field_problems(error))
        raise _no_lm(name, lm, f"its environment variables say {problems}") from error
    return next(filter(None, ways), None)


def _no_lm(name: str, lm: object, problem: str) -> SettingError:
    return SettingError(
        name,
        lm,
        problem,
        'Give a dspy.LM, or a model as "openai/gpt-4o-mini", "ollama_chat/mistral" or '
        '"embedded".',
    )


def adopt_lm(
    lm: dspy.BaseLM,
    folder: str | Path,
    *,
    run_id: str,
    adapter: Any = None,
    num_threads: int = 8,
) -> MeteredLM:
    """A copy of the LM that has what a run asks of a `MeteredLM`.

    The copy answers as the LM does, by its own class, client, key and cache settings;
    while a run is on, its calls are metered and kept like those of every other LM.

    Args:
        lm: A `dspy.LM`, or an instance of a user's LM class; it is not changed.
        folder: In a folder of it named by the LM's slug lie ledger and answers.
        run_id: For the ledger.
        adapter: How DSPy asks; None: DSPy's own default, `dspy.ChatAdapter`.
        num_threads: Calls at a time.
    """
    settings: Mapping[str, Any] = getattr(lm, "kwargs", None) or {}
    adapter = adapter or dspy.ChatAdapter()
    slug = slug_of(model_name(lm))
    folder = Path(folder) / slug
    meter = Meter(Ledger(folder / "ledger.sqlite"), run_id, slug)
    identity = identify(lm, folder, settings)
    provider = _Adopted(_describe(lm, settings, adapter, num_threads))
    adopted = lm.copy()
    vars(adopted).update(
        meter=meter,
        adapter=adapter,
        params=provider.params,
        identity=identity,
        slug=slug,
        where=identity.where,
        cache_folder=identity.cache_folder,
        provider=provider,
        weights=None,
        num_threads=num_threads,
        knows_cost="input_cost_per_token" in _table_entry(lm),
    )
    return cast(MeteredLM, adopted)


class _Adopted(Provider):
    """The server behind an LM of the user's own; nothing is known of it."""

    cuts_silently = True


def _describe(
    lm: dspy.BaseLM, settings: Mapping[str, Any], adapter: Any, num_threads: int
) -> LMParams:
    """What is known of the LM, in the words of the configuration, without secrets."""
    model = model_name(lm)
    most = settings.get("max_tokens") or settings.get("max_completion_tokens")
    window = _table_entry(lm).get("max_input_tokens")
    fields: dict[str, Any] = {
        "provider": "openai" if model.startswith("openai/") else "litellm",
        "model": model,
        "adapter": _adapter_name(adapter),
        "temperature": settings.get("temperature"),
        "max_tokens": most or _UNSET_ANSWER,
        "context_tokens": window or _UNKNOWN_WINDOW,
        "num_retries": getattr(lm, "num_retries", 3),
        "num_threads": num_threads,
        "seconds_per_example": 5.0,
    }
    given = {k: v for k, v in storable_settings(settings).items() if v is not None}
    extra = {k: v for k, v in given.items() if k not in _OWN_FIELDS}
    return LMParams(**fields, extra=extra)


def _adapter_name(adapter: Any) -> str:
    """As `lm.adapter` says it; of another class the one that it extends."""
    names = (name for kind, name in _ADAPTERS.items() if isinstance(adapter, kind))
    return next(names, "chat")


def storable_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are data and hold no secret, each judged by itself."""
    return {k: v for k, v in settings.items() if _is_storable(k, v)}


def _is_storable(name: str, value: Any) -> bool:
    if is_secret_argument(name, value):
        return False
    field = "api_base" if name in ADDRESSES else "extra"
    try:
        json.dumps(value)
        LMParams.model_validate(
            {field: value if field == "api_base" else {name: value}}
        )
    except (TypeError, ValueError, ValidationError):
        return False
    return True


def _table_entry(lm: dspy.BaseLM) -> Mapping[str, Any]:
    """The LM's entry in DSPy's table of models; empty: it has none."""
    if not isinstance(lm, dspy.LM) or not isinstance(lm.engine, str):
        return {}
    try:
        route = resolve(lm)
    except LM15Error:  # a provider that only LiteLLM reaches
        return {}
    entry: Mapping[str, Any] = model_info(route.provider, route.model)
    return entry
