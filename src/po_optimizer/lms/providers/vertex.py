"""Vertex AI: Gemini, Claude and open models in Google's cloud, by DSPy's own client.

References:
    Requests: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference
"""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from dspy._vendor.lm15.cloud.hosts import join_endpoint, location_host
from dspy._vendor.lm15.credentials import BearerToken
from dspy.clients.costs import estimate_cost
from dspy.lm15 import (
    AuthError,
    InvalidRequestError,
    Request,
    Response,
    TransportError,
    request_from_openai_chat,
)

from po_optimizer.errors import SettingError, needs_extra
from po_optimizer.lms.check import Check, check, require
from po_optimizer.lms.http import AnswerTransport
from po_optimizer.lms.providers.base import Provider, dspy_engine
from po_optimizer.params.lm import LMParams, VertexParams

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LOG_IN = "Log in: gcloud auth application-default login; or name a key file."
_GEMINI, _CLAUDE, _OPEN = "vertex", "vertex-anthropic", "openai-chat"
"""DSPy's names of its doors; open models are asked by OpenAI's protocol."""
_CONTEXT_TOKENS = {_GEMINI: 1_000_000, _CLAUDE: 200_000}
_OPTIONS = (
    *("reasoning_effort", "seed", "stop", "top_p", "top_k", "service_tier"),
    *("frequency_penalty", "presence_penalty"),
)
"""Of `lm.extra`: what DSPy knows how to say to each model; the rest goes as it is."""


class Vertex(Provider):
    """Google's cloud; it uses credentials instead of a key."""

    prefix = "vertex_ai"
    address_variable = "VERTEXAI_API_BASE"

    @classmethod
    def params_of(cls, name: str) -> LMParams | None:
        """LiteLLM's strings for Gemini and Claude, asked without LiteLLM."""
        word, _, model = name.partition("/")
        if word != cls.prefix or not model.startswith(("gemini", "claude")):
            return None
        get = os.environ.get
        location = get("VERTEX_LOCATION") or get("VERTEXAI_LOCATION")
        return LMParams(
            provider="vertex",
            model=model,
            api_base=get(cls.address_variable) or None,
            adapter="chat",
            context_tokens=_CONTEXT_TOKENS[_door(model)],
            max_tokens=8000,
            vertex=VertexParams(
                project=get("GCP_PROJECT") or get("VERTEXAI_PROJECT"),
                location=location or VertexParams().location,
            ),
        )

    def connect(self) -> Any:
        """DSPy's own client, with tokens of the application-default credentials.

        Raises:
            SettingError: A check did not pass.
        """
        # without a key file a server of Google's is asked: once is enough
        log_in = functools.cache(_log_in)
        require(self._checks(log_in))
        credentials, own_project = log_in()
        place, door = self.params.vertex, self.door
        address, project = self.params.api_base, str(place.project or own_project)
        settings = {"project": project, "location": place.location}
        if door == _OPEN:
            root = address or f"https://{location_host(place.location)}"
            path = f"v1/projects/{project}/locations/{place.location}/endpoints/openapi"
            address, settings = join_endpoint(root, path), {}
        transport = AnswerTransport(self.params.timeout_seconds)
        self._config = self._options()
        return dspy_engine(door, address, _tokens(credentials), transport, **settings)

    def ask(self, engine: Any, request: Request) -> Response:
        """The answer; one that was withheld names the filter."""
        config = replace(request.config, **self._config)
        model = f"{self.door}:{self.params.model}"
        try:
            return super().ask(engine, replace(request, model=model, config=config))
        except InvalidRequestError as error:
            if error.status is None:  # an answer with a reason in the text's place
                error.provider_code = "content_filter"
            raise

    def _options(self) -> dict[str, Any]:
        """The options of `lm.extra` that OpenAI has, too, as fields of a config."""
        extra = self.params.extra
        if "generationConfig" in extra:
            raise SettingError(
                "lm.extra.generationConfig",
                extra["generationConfig"],
                "it would replace temperature, length and schema",
                f"Say it by {', '.join(_OPTIONS)} in lm.extra.",
            )
        named = {name: extra[name] for name in _OPTIONS if name in extra}
        body = {"model": "m", "messages": [{"role": "user", "content": ""}], **named}
        try:
            config = request_from_openai_chat(body).config
        except (ValueError, TypeError) as error:
            raise SettingError(
                "lm.extra", named, str(error), "Correct the value, or leave it out."
            ) from error
        fields = (name.replace("reasoning_effort", "reasoning") for name in named)
        return {name: getattr(config, name) for name in fields}

    def request_arguments(self) -> dict[str, Any]:
        """The caller's own, by the names of the model's maker, as `safetySettings`."""
        return {k: v for k, v in self.params.extra.items() if k not in _OPTIONS}

    def check_provider(self) -> Iterator[Check]:
        """Credentials and project.

        Raises:
            PoOptimizerError: The package for Google's credentials is not installed.
        """
        return self._checks(_log_in)

    def _checks(self, log_in: Callable[[], tuple[Any, str | None]]) -> Iterator[Check]:
        with needs_extra("vertex", "lm.provider=vertex"):
            from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        project, problem = None, ""
        try:
            _, project = log_in()
        except (GoogleAuthError, OSError, ValueError) as error:
            # the error of a malformed file may repeat what stands in it
            problem = f"there are none that can be used ({type(error).__name__})"
        yield check(
            "vertex_credentials",
            "GOOGLE_APPLICATION_CREDENTIALS",
            os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"),
            "application-default credentials",
            problem=problem,
            remedy=_LOG_IN,
        )
        if not problem:
            project = self.params.vertex.project or project
            yield check(
                "vertex_project",
                "lm.vertex.project",
                project,
                "a Google Cloud project",
                problem="" if project else "nothing says which project pays",
                remedy="Set GCP_PROJECT=<project id> in the environment.",
            )

    @property
    def door(self) -> str:
        """Thoughts of Gemini's and kept prompts of Claude's are counted apart."""
        return _door(self.params.model)

    def list_price(self, answer: Response) -> float | None:
        """By LiteLLM's price table as DSPy brings it, which needs no LiteLLM."""
        provider = self.door
        if provider == _OPEN:  # the table has them as Google's, who counts otherwise
            provider = _GEMINI
            usage = replace(answer.usage, reasoning_tokens=None)
            answer = replace(answer, usage=usage)
        dollars: float | None = estimate_cost(
            answer, provider=provider, requested_model=self.params.model
        )[0]
        return dollars


def _door(model: str) -> str:
    if model.startswith("claude"):
        return _CLAUDE
    return _OPEN if "/" in model else _GEMINI  # as meta/llama-3.3-70b-instruct-maas


def _log_in() -> tuple[Any, str | None]:
    """The application-default credentials, and the project that they name."""
    import google.auth  # noqa: PLC0415 -- an optional extra

    credentials, project = google.auth.default(scopes=[_SCOPE])
    return credentials, project


def _tokens(credentials: Any) -> Callable[[], BearerToken]:
    """Gives the token of the credentials, a new one before the old one ends."""
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.auth.transport.requests import Request as Web  # noqa: PLC0415

    lock, web = threading.Lock(), Web()

    def token() -> BearerToken:
        with lock:
            if not credentials.valid:
                try:
                    credentials.refresh(web)
                except GoogleAuthError as error:
                    problem = f"Google gave no token ({next(iter(error.args), error)})"
                    if error.retryable:
                        raise TransportError(problem) from error
                    raise AuthError(f"{problem}. {_LOG_IN}") from error
            return BearerToken(credentials.token)

    return token
