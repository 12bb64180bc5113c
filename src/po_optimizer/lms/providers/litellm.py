"""Every provider that LiteLLM reaches: its name, its keys and its prices.

LiteLLM takes seconds to import: only this provider and Vertex AI do so.
"""

import os
from typing import Any

from po_optimizer.lms.providers.finding import Finding
from po_optimizer.params import LMParams

_TAKE_A_CLIENT = {
    *("anthropic", "bedrock", "gemini", "groq", "ollama", "ollama_chat", "vertex_ai"),
}


def takes_client(params: LMParams) -> bool:
    """Whether LiteLLM asks with the HTTP client that it is given.

    Azure and many others are asked by OpenAI's own library, with a client of its own.
    """
    named = params.provider == "litellm"
    return not named or params.model.partition("/")[0] in _TAKE_A_CLIENT


def _library() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no network
    import litellm  # noqa: PLC0415 -- takes seconds

    return litellm


def look(params: LMParams, api_key: str | None) -> list[Finding]:
    """Whether LiteLLM knows the provider, and has the keys that it wants."""
    litellm = _library()
    try:
        litellm.get_llm_provider(params.model, api_base=params.api_base)
    except litellm.exceptions.BadRequestError:
        problem = "LiteLLM knows no such provider"
        remedy = "Write provider/model, as in lm.model=anthropic/claude-sonnet-4-5"
        return [Finding("litellm_provider", "lm.model", params.model, problem, remedy)]
    known = Finding("litellm_provider", "lm.model", params.model)
    wanted = litellm.validate_environment(
        params.model, api_key=api_key, api_base=params.api_base
    )
    missing = [
        name
        for name in wanted["missing_keys"]
        if not (api_key and name.endswith("_API_KEY"))
        and not (params.api_base and name.endswith("_API_BASE"))
        and name.lower() not in params.extra
        and name.partition("_")[2].lower() not in params.extra
    ]
    if wanted["keys_in_environment"] or not missing:
        return [known, Finding("litellm_keys", "PO_LM_API_KEY", "***")]
    names = ", ".join(missing)
    problem = f"LiteLLM misses {names}"
    remedy = f"Set them in the environment: {names}"
    if any(name.endswith("_API_KEY") for name in missing):
        remedy += " (a key also as PO_LM_API_KEY, an address as lm.api_base)"
    keys = Finding("litellm_keys", "PO_LM_API_KEY", None, problem, f"{remedy}.")
    return [known, keys]


def cost(model: str, prompt: int, completion: int) -> float | None:
    """US dollars by LiteLLM's price table as installed; None: not in it."""
    litellm = _library()
    names = (model, model.partition("/")[2])
    priced = next((name for name in names if name in litellm.model_cost), None)
    if priced is None:
        return None
    dollars = litellm.cost_per_token(
        model=priced,
        custom_llm_provider=litellm.model_cost[priced].get("litellm_provider"),
        prompt_tokens=prompt,
        completion_tokens=completion,
    )
    return float(sum(dollars))
