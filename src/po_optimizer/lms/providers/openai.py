"""OpenAI-compatible servers: checks of address, key and model."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from po_optimizer.errors import SettingError
from po_optimizer.lms.check import Check, check
from po_optimizer.lms.http import AnswerTransport, get_json
from po_optimizer.lms.providers.base import Provider, dspy_engine

_REFUSED = {401, 403}
_VERSION = re.compile(r"/v\d\w*(/|$)")


class OpenAI(Provider):
    """A server that speaks OpenAI's chat completions."""

    prefix = "openai"
    address_variable = "PO_LM_BASE_URL"
    cuts_silently = True

    def connect(self) -> Any:
        """DSPy's own client, with the key of the configuration alone.

        Raises:
            SettingError: There is no address.
        """
        base = self.params.api_base
        if base is None:
            raise SettingError(
                "lm.api_base",
                None,
                "an OpenAI-compatible server needs its address",
                "Set it, or PO_LM_BASE_URL in the environment.",
            )
        return openai_engine(base, self.api_key, self.params.timeout_seconds)

    def slots(self) -> int | None:
        """As a llama.cpp server reports them under /props, beside /v1."""
        if self.params.api_base is None:
            return None
        root = with_v1(self.params.api_base).removesuffix("/v1")
        props = get_json(f"{root}/props", self.api_key).document
        total = props.get("total_slots") if isinstance(props, dict) else None
        return total if isinstance(total, int) and total > 0 else None

    def check_provider(self) -> Iterator[Check]:
        """Address and key; the model only where the server lists what it has."""
        if self.params.api_base is None:
            remedy = "Set PO_LM_BASE_URL, as in http://127.0.0.1:8000/v1"
            yield _answers(None, "there is no address", remedy)
            return
        base = with_v1(self.params.api_base)
        reply = get_json(f"{base}/models", self.api_key)
        if reply.status is None:
            remedy = "Start it, or correct PO_LM_BASE_URL."
            yield _answers(base, f"no server answers ({reply.problem})", remedy)
            return
        yield _answers(base)
        if reply.status in _REFUSED:
            verb = "refuses the key" if self.api_key else "wants a key"
            yield check(
                "server_key",
                "PO_LM_API_KEY",
                "***",
                "the server's key",
                problem=f"the server {verb} (HTTP {reply.status})",
                remedy="Set PO_LM_API_KEY in the environment.",
            )
        elif names := _names(reply.document):
            yield _listed(self.params.model, names)


def openai_engine(address: str, api_key: str | None, seconds: float) -> Any:
    """DSPy's engine for a server at an address, with or without its /v1.

    Args:
        address: http or https.
        api_key: Sent as a bearer token.
        seconds: For the whole of an answer, and for each silence in it.
    """
    key, transport = api_key or "none", AnswerTransport(seconds)
    return dspy_engine("openai-chat", with_v1(address), key, transport)


def with_v1(base: str) -> str:
    """The address with the /v1 under which such servers answer.

    One with a version in it (.../v1beta/openai, .../paas/v4), or whose end says what is
    asked there, stays.
    """
    url = base.rstrip("/")
    root = url.removesuffix("/chat/completions")
    is_whole = root != url or _VERSION.search(urlsplit(url).path)
    return root if is_whole else f"{url}/v1"


def _answers(base: str | None, problem: str = "", remedy: str = "") -> Check:
    return check(
        "server_answers",
        "lm.api_base",
        base,
        "an OpenAI-compatible server that answers",
        problem=problem,
        remedy=remedy,
    )


def _listed(model: str, names: list[str]) -> Check:
    names = [name.rsplit("/", 1)[-1] if _is_file(name) else name for name in names]
    listed = {*names, *(name.removesuffix(".gguf") for name in names)}
    is_listed = (
        model.rsplit("/", 1)[-1] in listed if _is_file(model) else model in listed
    )
    return check(
        "server_has_model",
        "lm.model",
        model,
        "a model that the server has",
        problem="" if is_listed else f"the server lists {', '.join(names[:10])}",
        remedy="Correct PO_LM_MODEL, or lm.model, or load the model into the server.",
    )


def _is_file(name: str) -> bool:
    """llama.cpp's server lists the path of its weights, and answers to any name."""
    return name.endswith(".gguf")


def _names(document: Any) -> list[str]:
    data = document.get("data") if isinstance(document, dict) else None
    entries = data if isinstance(data, list) else []
    ids = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    return [str(name) for name in ids if name]
