"""OpenAI-compatible servers: address, key and model, as far as they tell."""

from typing import Any

from po_optimizer.lms.providers.finding import Finding
from po_optimizer.lms.providers.http import get_json
from po_optimizer.params import LMParams

_REFUSED = {401, 403}


def v1(base: str) -> str:
    """The address with the /v1 under which such servers answer."""
    url = base.rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"


def slots(params: LMParams, api_key: str | None) -> int | None:
    """Requests that a llama.cpp server answers at a time; None: it does not tell."""
    if params.api_base is None:
        return None
    root = v1(params.api_base).removesuffix("/v1")
    told = get_json(f"{root}/props", api_key).document
    total = told.get("total_slots") if isinstance(told, dict) else None
    return total if isinstance(total, int) and total > 0 else None


def look(params: LMParams, api_key: str | None) -> list[Finding]:
    """Address and key; the model only where the server lists what it has."""
    if params.api_base is None:
        problem = "an OpenAI-compatible server needs its address"
        remedy = "Set PO_LM_BASE_URL in the environment, as in http://127.0.0.1:8000/v1"
        return [Finding("server_answers", "lm.api_base", None, problem, remedy)]
    base = v1(params.api_base)
    reply = get_json(f"{base}/models", api_key)
    if reply.status is None:
        problem = f"no server answers ({reply.problem})"
        remedy = "Start it, or correct PO_LM_BASE_URL."
        return [Finding("server_answers", "lm.api_base", base, problem, remedy)]
    answers = Finding("server_answers", "lm.api_base", base)
    if reply.status in _REFUSED:
        said = "refuses the key" if api_key else "wants a key"
        problem = f"the server {said} (HTTP {reply.status})"
        remedy = "Set PO_LM_API_KEY in the environment."
        return [answers, Finding("server_key", "PO_LM_API_KEY", "***", problem, remedy)]
    names = _names(reply.document)
    return [answers, _listed(params.model, names)] if names else [answers]


def _listed(model: str, names: list[str]) -> Finding:
    names = [name.rsplit("/", 1)[-1] if _is_file(name) else name for name in names]
    known = {*names, *(name.removesuffix(".gguf") for name in names)}
    if model.rsplit("/", 1)[-1] in known if _is_file(model) else model in known:
        return Finding("server_has_model", "lm.model", model)
    problem = f"the server lists other models: {', '.join(names[:10])}"
    remedy = "Correct PO_LM_MODEL, or lm.model, or load the model into the server."
    return Finding("server_has_model", "lm.model", model, problem, remedy)


def _is_file(name: str) -> bool:
    """llama.cpp's server lists the path of its weights, and answers to any name."""
    return name.endswith(".gguf")


def _names(document: Any) -> list[str]:
    data = document.get("data") if isinstance(document, dict) else None
    entries = data if isinstance(data, list) else []
    ids = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    return [str(name) for name in ids if name]
