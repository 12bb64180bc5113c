"""Ollama: is it there, is the model pulled, does it read the whole prompt.

References:
    The wire format: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from po_optimizer.errors import SettingError
from po_optimizer.files import write_whole
from po_optimizer.lms.providers.finding import Finding
from po_optimizer.lms.providers.http import get_json
from po_optimizer.params import LMParams

DEFAULT_ADDRESS = "http://127.0.0.1:11434"
_KEEP_ALIVE = "30m"
_REFUSED = {401, 403}


def extra_arguments(params: LMParams) -> dict[str, Any]:
    """What each request says beside the chat: the context that Ollama must keep.

    Without `num_ctx` it cuts long prompts to its default context, without a word.
    """
    return {
        "num_ctx": params.context_tokens,
        "keep_alive": _KEEP_ALIVE,
        **params.extra,
    }


def parallel() -> int:
    """Requests that Ollama answers at a time, as its own variable says; else 1.

    Raises:
        SettingError: The variable is no number.
    """
    value = os.environ.get("OLLAMA_NUM_PARALLEL") or "1"
    if not value.isdigit():
        raise SettingError(
            "OLLAMA_NUM_PARALLEL", value, "it is no number", "Set it to 1 or more."
        )
    return max(1, int(value))  # 0 leaves it to Ollama, which does not tell


def look(params: LMParams, api_key: str | None) -> list[Finding]:
    """Each thing that keeps Ollama from answering, with the command that mends it."""
    base = (params.api_base or DEFAULT_ADDRESS).rstrip("/")
    context = _context(params)
    if base.endswith("/v1"):
        problem = "Ollama is asked at /api/chat, so the address ends before /v1"
        remedy = f"OLLAMA_BASE_URL={base.removesuffix('/v1')}"
        return [context, _answers(base, problem, remedy)]
    reply = get_json(f"{base}/api/tags", api_key)
    if reply.status is None:
        remedy = (
            "Start it: ollama serve; or say where it is: OLLAMA_BASE_URL=http://..."
        )
        return [context, _answers(base, f"no Ollama answers ({reply.problem})", remedy)]
    if reply.status in _REFUSED:
        problem = f"the server refuses the key (HTTP {reply.status})"
        return [context, _answers(base, problem, "Set PO_LM_API_KEY.")]
    names = _names(reply.document)
    if names is None and reply.status in {200, 404}:
        problem = "what answers there is not Ollama (no /api/tags)"
        remedy = "Say the right port: OLLAMA_BASE_URL=http://127.0.0.1:11434"
        return [context, _answers(base, problem, remedy)]
    # any other status says nothing: the call itself, with its retries, will tell
    found = [context, _answers(base, "", "")]
    if names is None:
        return found
    pulled = _pulled(params.model, names)
    more = [] if pulled.problem else _model_context(params, base, api_key)
    return [*found, pulled, *more]


def weights(params: LMParams, api_key: str | None, folder: Path) -> str | None:
    """The digest of the pulled weights; None: another provider, or it is not known.

    It is remembered beside the answers, so that they are used without the server, too.
    """
    if params.provider != "ollama":
        return None
    base = (params.api_base or DEFAULT_ADDRESS).rstrip("/")
    name = hashlib.sha256(f"{base} {params.model}".encode()).hexdigest()[:12]
    memory = folder / f"weights-{name}.txt"
    document = get_json(f"{base}/api/tags", api_key).document
    models = document.get("models") if isinstance(document, dict) else None
    wanted = params.model if ":" in params.model else f"{params.model}:latest"
    digests = [
        str(entry["digest"]).removeprefix("sha256:")
        for entry in (models if isinstance(models, list) else [])
        if isinstance(entry, dict)
        and wanted in {entry.get("name"), entry.get("model")}
        and entry.get("digest")
    ]
    if not digests:
        return memory.read_text(encoding="utf-8") if memory.exists() else None
    write_whole(memory, digests[0])
    return digests[0]


def _answers(base: str, problem: str, remedy: str) -> Finding:
    return Finding("ollama_answers", "lm.api_base", base, problem, remedy)


def _pulled(model: str, names: list[str]) -> Finding:
    wanted = model if ":" in model else f"{model}:latest"
    if wanted in names:
        return Finding("ollama_model_pulled", "lm.model", model)
    there = ", ".join(names[:10]) or "none"
    problem = f"the model is not pulled; pulled are: {there}"
    remedy = f"Pull it: ollama pull {model}"
    return Finding("ollama_model_pulled", "lm.model", model, problem, remedy)


def _context(params: LMParams) -> Finding:
    tokens = extra_arguments(params)["num_ctx"]
    if not isinstance(tokens, int):
        problem = "it is no number of tokens"
    elif tokens < params.context_tokens:
        problem = f"Ollama would cut below lm.context_tokens={params.context_tokens}"
    else:
        return Finding("ollama_context", "lm.extra.num_ctx", tokens)
    remedy = "Leave num_ctx out: lm.context_tokens is sent as num_ctx."
    return Finding("ollama_context", "lm.extra.num_ctx", tokens, problem, remedy)


def _model_context(params: LMParams, base: str, api_key: str | None) -> list[Finding]:
    """Whether the model itself reads that much; nothing where it does not tell."""
    reply = get_json(f"{base}/api/show", api_key, body={"model": params.model})
    info = reply.document.get("model_info") if isinstance(reply.document, dict) else {}
    lengths = [
        value
        for key, value in (info.items() if isinstance(info, dict) else ())
        if key.endswith(".context_length") and isinstance(value, int)
    ]
    if not lengths:
        return []
    sent = extra_arguments(params)["num_ctx"]
    problem = f"the model {params.model} reads {lengths[0]} tokens at most"
    remedy = f"Set lm.context_tokens={lengths[0]} or less, or choose another model."
    if not isinstance(sent, int) or sent <= lengths[0]:
        problem = remedy = ""
    setting = "lm.extra.num_ctx" if "num_ctx" in params.extra else "lm.context_tokens"
    return [Finding("ollama_model_context", setting, sent, problem, remedy)]


def _names(document: Any) -> list[str] | None:
    models = document.get("models") if isinstance(document, dict) else None
    if not isinstance(models, list):
        return None
    entries = [entry for entry in models if isinstance(entry, dict)]
    return sorted(str(entry.get("name") or entry.get("model")) for entry in entries)
