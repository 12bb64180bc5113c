"""Every provider that LiteLLM reaches: its name, its keys and its prices.

LiteLLM takes seconds to import: it is loaded when the first call is made or priced. Its
own client follows redirects, reads answers without end and drops Retry-After; what is
here does not.
"""

from collections.abc import Iterator
from typing import Any

import httpx
from dspy.clients._http import retry_after_seconds
from dspy.lm15 import (
    ProviderError,
    Request,
    Response,
    TransportError,
)

from po_optimizer.errors import causes
from po_optimizer.lms.answer_repair import defect
from po_optimizer.lms.check import Check, check, require
from po_optimizer.lms.http import (
    REFUSED,
    AnswerError,
    check_head,
    is_loopback,
    read_answer,
)
from po_optimizer.lms.providers.base import Provider

_OF_THE_WIRE = {"content-encoding", "content-length", "transfer-encoding"}
_BROKEN = ("Error converting to valid response block", "Unable to get json response")


def _seconds_to_wait(error: BaseException) -> float | None:
    """Seconds, from the headers of the first HTTP error behind this one."""
    for cause in causes(error):
        for holder in (cause, getattr(cause, "response", None)):
            headers = getattr(holder, "headers", None) or {}
            seconds = retry_after_seconds(headers.get("retry-after"))
            if seconds is not None:
                return float(seconds)
    return None


class _WholeAnswers(httpx.BaseTransport):
    """Reads each answer to its end, bounded, before LiteLLM sees it."""

    def __init__(self, plain: httpx.Client, by_environment: httpx.Client) -> None:
        self._plain = plain
        self._by_environment = by_environment

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        loopback = is_loopback(str(request.url))
        client = self._plain if loopback else self._by_environment
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            codings = response.headers.get_list("content-encoding")
            check_head(response.status_code, codings)
            seconds = request.extensions["timeout"]["read"]
            body, document = read_answer(response.iter_bytes(), seconds)
        except AnswerError as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=request) from error
        finally:
            response.close()
        problem = defect(document, str(request.url))
        if problem and response.status_code < REFUSED:
            raise httpx.RemoteProtocolError(problem, request=request)
        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name not in _OF_THE_WIRE
        ]
        return httpx.Response(response.status_code, headers=headers, content=body)


def bounded_client(seconds: float) -> Any:
    """A handler for LiteLLM's argument `client`.

    Args:
        seconds: For the whole of an answer, and for each silence in it.
    """
    from litellm.llms.custom_httpx.http_handler import (  # noqa: PLC0415 -- seconds
        HTTPHandler,
    )

    # LiteLLM's own, for the certificates and proxies that it reads of the environment
    by_environment = HTTPHandler(timeout=seconds, follow_redirects=False).client
    plain = httpx.Client(timeout=seconds, trust_env=False)
    transport = _WholeAnswers(plain, by_environment)
    headers = {"Accept-Encoding": "identity"}
    client = httpx.Client(transport=transport, timeout=seconds, headers=headers)
    return HTTPHandler(client=client)


# LiteLLM asks these with the HTTP client that it is given; Azure and many others are
# asked by OpenAI's own library, with a client of its own
_TAKE_A_CLIENT = {
    *("anthropic", "bedrock", "gemini", "groq", "ollama", "ollama_chat", "openrouter"),
    "vertex_ai",
}


class LiteLLM(Provider):
    """A cloud by LiteLLM's model string, such as anthropic/claude-sonnet-4-5."""

    def connect(self) -> Any:
        """An engine that asks by way of LiteLLM.

        Raises:
            SettingError: A check did not pass.
        """
        from dspy.clients.engines.litellm_engine import (  # noqa: PLC0415
            LiteLLMEngine,
        )

        require(self.check_provider())
        params = self.params
        options: dict[str, Any] = {"timeout": params.timeout_seconds}
        if params.api_base is not None:
            options["api_base"] = params.api_base
        if self.api_key is not None:
            options["api_key"] = self.api_key
        engine = LiteLLMEngine(**options)
        if self.model.partition("/")[0] in _TAKE_A_CLIENT:
            engine.client_options["client"] = bounded_client(params.timeout_seconds)
        return engine

    def ask(self, engine: Any, request: Request) -> Response:
        """The answer.

        LiteLLM drops the Retry-After of some servers, and reports JSON that was cut on
        its way as a bad request, which would not be retried and would count as the
        program's failure.

        Raises:
            dspy.lm15.TransportError: The answer could not be read; DSPy retries.
            dspy.lm15.ProviderError: The server failed; it carries its Retry-After.
        """
        try:
            return super().ask(engine, request)
        except ProviderError as error:
            if any(words in str(error) for words in _BROKEN):
                raise TransportError(f"the answer is no JSON: {error}") from error
            if error.retry_after is None:
                error.retry_after = _seconds_to_wait(error)
            raise

    def check_provider(self) -> Iterator[Check]:
        """Whether LiteLLM knows the provider, and has the keys that it wants."""
        litellm, params = _litellm(), self.params
        problem = ""
        try:
            litellm.get_llm_provider(params.model, api_base=params.api_base)
        except litellm.exceptions.BadRequestError:
            problem = "LiteLLM knows no such provider"
        yield check(
            "litellm_provider",
            "lm.model",
            params.model,
            "a model whose name begins with a provider of LiteLLM's",
            problem=problem,
            remedy="Write provider/model, as in lm.model=anthropic/claude-sonnet-4-5",
        )
        if not problem:
            yield self._keys()

    def _keys(self) -> Check:
        missing = self._missing_keys()
        names = ", ".join(missing)
        remedy = f"Set them in the environment: {names}"
        if any(name.endswith("_API_KEY") for name in missing):
            remedy += " (a key also as PO_LM_API_KEY, an address as lm.api_base)"
        return check(
            "litellm_keys",
            "PO_LM_API_KEY",
            None if missing else "***",
            "the keys that the provider wants",
            problem=f"LiteLLM misses {names}" if missing else "",
            remedy=f"{remedy}.",
        )

    def _missing_keys(self) -> list[str]:
        params, api_key = self.params, self.api_key
        required = _litellm().validate_environment(
            params.model, api_key=api_key, api_base=params.api_base
        )
        if required["keys_in_environment"]:
            return []
        return [
            name
            for name in required["missing_keys"]
            if not (api_key and name.endswith("_API_KEY"))
            and not (params.api_base and name.endswith("_API_BASE"))
            and name.lower() not in params.extra
            and name.partition("_")[2].lower() not in params.extra
        ]

    def list_price(self, answer: Response) -> float | None:
        """By LiteLLM's price table as installed."""
        litellm, model = _litellm(), self.params.model
        names = (model, model.partition("/")[2])
        priced = next((name for name in names if name in litellm.model_cost), None)
        if priced is None:
            return None
        entry, raw = litellm.model_cost[priced], answer.provider_data or {}
        dollars = litellm.cost_per_token(
            model=priced,
            custom_llm_provider=entry.get("litellm_provider"),
            usage_object=litellm.Usage(**(raw.get("usage") or self.tokens(answer))),
            service_tier=raw.get("service_tier"),
        )
        return float(sum(dollars))


def _litellm() -> Any:
    import litellm  # noqa: PLC0415 -- takes seconds

    litellm.suppress_debug_info = True  # it prints a page of help where it raises
    return litellm
