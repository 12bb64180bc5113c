"""Ollama: is it there, is the model pulled, does it read the whole prompt.

References:
    The wire format: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dspy.lm15 import Response

from po_optimizer.errors import SettingError
from po_optimizer.files import write_whole
from po_optimizer.lms.check import Check, check, require
from po_optimizer.lms.http import get_json
from po_optimizer.lms.ollama_chat import OllamaTransport
from po_optimizer.lms.providers.base import Provider, dspy_engine
from po_optimizer.lms.providers.openai import with_v1
from po_optimizer.params.lm import LMParams

_DEFAULT_ADDRESS = "http://127.0.0.1:11434"
_KEEP_ALIVE = "30m"
_CONTEXT_TOKENS = 16384
_REFUSED = {401, 403}
_PARALLEL = "OLLAMA_NUM_PARALLEL"


class Ollama(Provider):
    """Asked by its own protocol, where the context can be set."""

    prefix = "ollama_chat"
    address_variable = "OLLAMA_BASE_URL"
    cuts_silently = True

    @classmethod
    def params_of(cls, name: str) -> LMParams | None:
        """DSPy's strings for Ollama, with the context that DSPy does not send."""
        word, _, model = name.partition("/")
        if word not in {"ollama", cls.prefix}:
            return None
        base = os.environ.get(cls.address_variable) or None
        return LMParams(
            provider="ollama",
            model=model,
            api_base=base,
            adapter="chat",
            context_tokens=_CONTEXT_TOKENS,
        )

    def connect(self) -> Any:
        """DSPy's own client, which asks at /api/chat.

        Raises:
            SettingError: A check did not pass.
        """
        require(self.check_provider())
        seconds, key = self.params.timeout_seconds, self.api_key
        transport = OllamaTransport(self._base, seconds, sends_key=bool(key))
        return dspy_engine("ollama", with_v1(self._base), key or "none", transport)

    @property
    def _base(self) -> str:
        return (self.params.api_base or _DEFAULT_ADDRESS).rstrip("/")

    @property
    def _tag(self) -> str:
        model = self.params.model
        return model if ":" in model else f"{model}:latest"

    def request_arguments(self) -> dict[str, Any]:
        """The context that Ollama must keep, and the caller's own.

        Without `num_ctx` it cuts long prompts to its default, without a word.
        """
        return {
            "num_ctx": self.params.context_tokens,
            "keep_alive": _KEEP_ALIVE,
            **self.params.extra,
        }

    def slots(self) -> int:
        """The number in Ollama's own variable, else 1.

        Raises:
            SettingError: The variable is no number.
        """
        value = os.environ.get(_PARALLEL) or "1"
        if not value.isdigit():
            raise SettingError(
                _PARALLEL, value, "it is no number", "Set it to 1 or more."
            )
        return max(1, int(value))  # with 0 Ollama chooses, and reports nothing

    def cost(self, answer: Response) -> float | None:
        """0 on the user's machine; unknown for models in Ollama's cloud."""
        if self.params.price is None:
            return None if self.params.model.endswith("cloud") else 0.0
        return super().cost(answer)

    def check_provider(self) -> Iterator[Check]:
        """Each thing that keeps Ollama from answering, with the command that mends."""
        yield self._context()
        base = self._base
        if base.endswith("/v1"):
            problem = "it is asked at /api/chat, so the address ends before /v1"
            yield _answers(base, problem, f"OLLAMA_BASE_URL={base.removesuffix('/v1')}")
            return
        reply = get_json(f"{base}/api/tags", self.api_key)
        models = _models(reply.document)
        problem = remedy = ""
        if reply.status is None:
            problem = f"no Ollama answers ({reply.problem})"
            remedy = "Start it: ollama serve; or set OLLAMA_BASE_URL=http://..."
        elif reply.status in _REFUSED:
            problem = f"the server refuses the key (HTTP {reply.status})"
            remedy = "Set PO_LM_API_KEY."
        elif models is None and reply.status in {200, 404}:
            problem = "what answers there is not Ollama (no /api/tags)"
            remedy = "Say the right port: OLLAMA_BASE_URL=http://127.0.0.1:11434"
        yield _answers(base, problem, remedy)
        # with any other status the call itself, with its retries, decides
        if not problem and models is not None:
            yield from self._model_checks(models)

    def _model_checks(self, models: list[dict[str, Any]]) -> Iterator[Check]:
        names = sorted(str(entry.get("name") or entry.get("model")) for entry in models)
        pulled = self._tag in names
        yield check(
            "ollama_model_pulled",
            "lm.model",
            self.params.model,
            "a model that is pulled",
            problem="" if pulled else f"pulled are {', '.join(names[:10]) or 'none'}",
            remedy=f"Pull it: ollama pull {self.params.model}",
        )
        if pulled:
            yield from self._model_context()

    def _context(self) -> Check:
        tokens, needed = self.request_arguments()["num_ctx"], self.params.context_tokens
        problem = ""
        if not isinstance(tokens, int):
            problem = "it is no number of tokens"
        elif tokens < needed:
            problem = f"Ollama would cut below lm.context_tokens={needed}"
        return check(
            "ollama_context",
            "lm.extra.num_ctx",
            tokens,
            "a num_ctx of lm.context_tokens or more",
            problem=problem,
            remedy="Leave num_ctx out: lm.context_tokens is sent as num_ctx.",
        )

    def _model_context(self) -> Iterator[Check]:
        """Whether the model supports this context, if the server says so."""
        params = self.params
        body = {"model": params.model}
        reply = get_json(f"{self._base}/api/show", self.api_key, body=body).document
        info = reply.get("model_info") if isinstance(reply, dict) else None
        lengths = [
            value
            for key, value in (info.items() if isinstance(info, dict) else ())
            if key.endswith(".context_length") and isinstance(value, int)
        ]
        if not lengths:
            return
        most, sent = lengths[0], self.request_arguments()["num_ctx"]
        too_long = isinstance(sent, int) and sent > most
        yield check(
            "ollama_model_context",
            "lm.extra.num_ctx" if "num_ctx" in params.extra else "lm.context_tokens",
            sent,
            "at most the context that the model has",
            problem=f"{params.model} reads {most} tokens at most" * too_long,
            remedy=f"Set lm.context_tokens={most} or less, or choose another model.",
        )

    def weights(self, folder: Path) -> str | None:
        """The digest of the pulled weights, remembered for use without the server."""
        name = f"{self._base} {self.params.model}"
        memory = (
            folder / f"weights-{hashlib.sha256(name.encode()).hexdigest()[:12]}.txt"
        )
        models = _models(get_json(f"{self._base}/api/tags", self.api_key).document)
        digests = [
            str(entry["digest"]).removeprefix("sha256:")
            for entry in models or ()
            if self._tag in {entry.get("name"), entry.get("model")}
            and entry.get("digest")
        ]
        if not digests:
            return memory.read_text(encoding="utf-8") if memory.exists() else None
        write_whole(memory, digests[0])
        return digests[0]


def _answers(base: str, problem: str, remedy: str) -> Check:
    return check(
        "ollama_answers",
        "lm.api_base",
        base,
        "an Ollama server that answers",
        problem=problem,
        remedy=remedy,
    )


def _models(document: Any) -> list[dict[str, Any]] | None:
    """What /api/tags lists; None: it is another answer."""
    models = document.get("models") if isinstance(document, dict) else None
    if not isinstance(models, list):
        return None
    return [entry for entry in models if isinstance(entry, dict)]
