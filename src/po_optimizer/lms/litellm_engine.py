"""What LiteLLM lacks: waits as the server asks, bounded answers, no redirects.

LiteLLM's own client follows redirects and reads answers without end.
"""

from typing import Any

import httpx
from dspy.clients._http import retry_after_seconds
from dspy.lm15 import (
    InvalidRequestError,
    ProviderError,
    Request,
    Response,
    TransportError,
)

from po_optimizer.errors import causes
from po_optimizer.lms.http import (
    AnswerError,
    check_head,
    is_loopback,
    read_answer,
)

_OF_THE_WIRE = {"content-encoding", "content-length", "transfer-encoding"}
_BROKEN = "Error converting to valid response block"


class PatientEngine:
    """An engine behind LiteLLM that obeys Retry-After and retries broken answers.

    LiteLLM drops the Retry-After of Ollama's and Vertex AI's 429, and reports JSON
    that was cut on its way as a bad request, which would not be retried and would
    count as the program's failure.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def complete(self, request: Request) -> Response:
        """The answer.

        Raises:
            dspy.lm15.TransportError: The answer could not be read; DSPy retries.
            dspy.lm15.ProviderError: The server failed; it carries its Retry-After.
        """
        try:
            answer: Response = self._engine.complete(request)
        except InvalidRequestError as error:
            if _BROKEN in str(error):
                raise TransportError(f"the answer is no JSON: {error}") from error
            raise
        except ProviderError as error:
            if error.retry_after is None:
                error.retry_after = _seconds_to_wait(error)
            raise
        return answer


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
            body = read_answer(response.iter_bytes(), seconds)
        except AnswerError as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=request) from error
        finally:
            response.close()
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
