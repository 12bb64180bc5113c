"""The HTTP client that LiteLLM is given: its own follows redirects, without bounds."""

from typing import Any

import httpx

from po_optimizer.lms.http import (
    AnswerError,
    check_head,
    is_loopback,
    read_answer,
)

_OF_THE_WIRE = {"content-encoding", "content-length", "transfer-encoding"}


class _WholeAnswers(httpx.BaseTransport):
    """Reads each answer to its end, bounded, before LiteLLM sees it."""

    def __init__(self, plain: httpx.Client, by_environment: httpx.Client) -> None:
        self._plain = plain
        self._by_environment = by_environment

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        own = is_loopback(str(request.url))
        client = self._plain if own else self._by_environment
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
