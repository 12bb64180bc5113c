"""One small question, whose every outcome is a value: reached, refused, or not JSON."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dspy._vendor.lm15.transports import TransportError, TransportRequest

from po_optimizer.lms.http import AnswerTransport
from po_optimizer.lms.secret import without

_PATIENCE_SECONDS = 10
_REFUSED = 400  # and above: the body is an error's


@dataclass(frozen=True)
class Reply:
    """What came back.

    Args:
        status: Of HTTP; None: no answer.
        document: The JSON that was sent; None: none, or not readable.
        problem: Why there was no answer, without the address.
    """

    status: int | None
    document: Any = None
    problem: str = ""


def get_json(address: str, api_key: str | None = None, *, body: Any = None) -> Reply:
    """Asks once; a server that does not answer is a finding, not an exception.

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
        with transport.stream(request) as response:
            document = _parsed(response.read()) if response.status < _REFUSED else None
            return Reply(response.status, document)
    except (TransportError, OSError, ValueError) as error:
        return Reply(None, problem=without(api_key, str(error)))
    finally:
        transport.close()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
