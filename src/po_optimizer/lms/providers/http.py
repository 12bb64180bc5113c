"""One small question, whose every outcome is a value: reached, refused, or not JSON."""

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 10
_LARGEST_BYTES = 10_000_000


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
        address: http or https.
        api_key: Sent as a bearer token.
        body: Posted as JSON; None: a GET.
    """
    if urlsplit(address).scheme not in {"http", "https"}:
        return Reply(None, problem="it is no http(s) address")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310
            return Reply(answer.status, _parsed(answer.read(_LARGEST_BYTES)))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code)
    except urllib.error.URLError as error:
        return Reply(None, problem=str(error.reason))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Reply(None, problem=f"{type(error).__name__}: {error}")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
