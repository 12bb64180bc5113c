"""How answers come over HTTP: whole, of bounded size, from the address that was asked.

DSPy's engine and `get_json` use `AnswerTransport`; what LiteLLM asks goes through the
same `read_answer`. No redirect is followed: prompts and keys are for the
address of the configuration. Loopback passes every proxy by.
"""

import functools
import ipaddress
import json
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dspy._vendor.lm15.transports import (
    ProtocolError,
    ReadTimeout,
    StdlibTransport,
    TransportError,
    TransportRequest,
    TransportResponse,
)

from po_optimizer.lms.answer_repair import defect, parse_answer
from po_optimizer.secret import mask

LARGEST_BYTES = 2**25  # of one answer; a million tokens of text take some 5 MB
_CODINGS = {"gzip", "x-gzip", "deflate"}  # none grows a block by more than 1,030 times
_REDIRECTS = range(300, 400)
# a connection waits for its slot no longer than an answer for its first byte
_CONNECTIONS = 100
_PATIENCE_SECONDS = 10
REFUSED = 400  # and above: the body is an error's


class AnswerTransport:
    """DSPy's own HTTP client, bounded. It is closed with the process.

    Args:
        seconds: For the whole of an answer, and for each silence in it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._clients = {
            trust_env: StdlibTransport(
                read_timeout=seconds,
                write_timeout=seconds,
                pool_timeout=seconds,
                max_connections=_CONNECTIONS,
                trust_env=trust_env,
            )
            for trust_env in (False, True)
        }

    def stream(self, request: TransportRequest) -> TransportResponse:
        """The response, its body read; it is a model's answer unless it is an error.

        Raises:
            dspy.lm15.TransportError: There is none, or none that can be taken; an
                answer that was cut on its way is none.
        """
        response, document = self.read(request)
        if response.status < REFUSED and (problem := defect(document, request.url)):
            raise ProtocolError(problem)
        return response

    def read(self, request: TransportRequest) -> tuple[TransportResponse, Any]:
        """The response, its body read, and the JSON in it; None: there is none.

        Raises:
            dspy.lm15.TransportError: There is none, or none that can be taken.
        """
        trust_env = not is_loopback(request.url)
        with self._clients[trust_env].stream(request) as response:
            try:
                check_head(response.status, response.headers_all("content-encoding"))
                body, document = read_answer(response, self._seconds)
            except AnswerError as error:
                raise ProtocolError(str(error)) from error
            except TimeoutError as error:
                raise ReadTimeout(str(error)) from error
            return with_body(response, body), document

    def close(self) -> None:
        """Closes idle connections."""
        for client in self._clients.values():
            client.close()


def with_body(response: TransportResponse, body: bytes) -> TransportResponse:
    """The response with this body, which is whole."""
    return TransportResponse(
        status=response.status,
        reason=response.reason,
        headers=response.headers,
        http_version=response.http_version,
        chunks=iter([body]),
        release=lambda body_consumed: None,
    )


class AnswerError(ValueError):
    """A response that is refused."""


def check_head(status: int, codings: Iterable[str]) -> None:
    """Raises if the response must not be read.

    Raises:
        AnswerError: It redirects, or its size after decoding has no bound.
    """
    if status in _REDIRECTS:
        raise AnswerError(
            f"it redirects to another address (HTTP {status}), which is not followed: "
            "set that address if it is the right one"
        )
    names = [name.strip().lower() for line in codings for name in line.split(",")]
    applied = [name for name in names if name and name != "identity"]
    if len(applied) > 1 or not _CODINGS.issuperset(applied):
        raise AnswerError(f"the answer is compressed as {', '.join(applied)!r}")


def read_answer(chunks: Iterable[bytes], seconds: float) -> tuple[bytes, Any]:
    """The whole body, repaired, and the JSON in it; None: it is none.

    Raises:
        AnswerError: It is larger than any answer.
        TimeoutError: It did not end in time, though it never fell silent.
    """
    return parse_answer(b"".join(_bounded(chunks, seconds)))


def _bounded(chunks: Iterable[bytes], seconds: float) -> Iterator[bytes]:
    size, end = 0, time.monotonic() + seconds
    for chunk in chunks:
        size += len(chunk)
        if size > LARGEST_BYTES:
            raise AnswerError(f"the answer is larger than {LARGEST_BYTES:,} bytes")
        if time.monotonic() > end:
            raise TimeoutError(f"the answer did not end within {seconds:g} s")
        yield chunk


@functools.lru_cache(64)
def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own, by its name or number alone."""
    host = (urlsplit(url).hostname or "").rstrip(".").partition("%")[0]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        try:
            number = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f000001
        except (OSError, UnicodeEncodeError):
            return False
    mapped = getattr(number, "ipv4_mapped", None) or number
    return bool(mapped.is_loopback or mapped.is_unspecified)


@dataclass(frozen=True)
class Reply:
    """The reply to a request.

    Args:
        status: Of HTTP; None: no answer.
        document: The JSON that was sent; None: none, or not readable.
        problem: Why there was no answer, without the address.
    """

    status: int | None
    document: Any = None
    problem: str = ""


def get_json(address: str, api_key: str | None = None, *, body: Any = None) -> Reply:
    """Makes one request; a server that does not answer is reported, not raised.

    Args:
        address: http or https; no other is followed, wherever the server points.
        api_key: Sent as a bearer token.
        body: Posted as JSON; None: a GET.
    """
    if urlsplit(address).scheme not in {"http", "https"}:
        return Reply(None, problem="it is no http(s) address")
    headers = [("Authorization", f"Bearer {api_key}")] if api_key else []
    request = TransportRequest("GET", address, headers)
    if body is not None:
        headers.append(("Content-Type", "application/json"))
        request = TransportRequest("POST", address, headers, json.dumps(body).encode())
    transport = AnswerTransport(_PATIENCE_SECONDS)
    try:
        response, document = transport.read(request)
        return Reply(response.status, document if response.status < REFUSED else None)
    except (TransportError, OSError, ValueError) as error:
        return Reply(None, problem=mask(str(error), api_key))
    finally:
        transport.close()
