"""What LiteLLM loses on the way from the server's answer to its exception."""

from collections.abc import Iterator
from typing import Any

from dspy.clients._http import retry_after_seconds
from dspy.lm15 import (
    InvalidRequestError,
    ProviderError,
    Request,
    Response,
    TransportError,
)

_BROKEN = "Error converting to valid response block"


class LiteLLMAnswers:
    """An engine behind LiteLLM that waits as told and retries broken answers.

    LiteLLM drops the Retry-After of Ollama's and Vertex AI's 429, and reports JSON
    that was cut on its way as a bad request, which nobody would retry and which
    would count as the program's failure.
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
                error.retry_after = _told_to_wait(error)
            raise
        return answer


def _told_to_wait(error: BaseException) -> float | None:
    """Seconds, from the headers of the first HTTP error behind this one."""
    for cause in _chain(error):
        for holder in (cause, getattr(cause, "response", None)):
            headers = getattr(holder, "headers", None) or {}
            seconds = retry_after_seconds(headers.get("retry-after"))
            if seconds is not None:
                return float(seconds)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
