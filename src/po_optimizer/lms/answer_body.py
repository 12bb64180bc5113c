"""A server's JSON as it should have been: whole characters, and tokens that are counts.

A paid answer is not lost because its envelope is odd: counts that cannot be are left
out, which means "not reported", and half characters become U+FFFD.
"""

import json
from typing import Any

from po_optimizer.lms.unicode_repair import repair_answer

_MOST_TOKENS = 10**9  # of one call; a sum of them stays an integer of SQLite
_ENVELOPES = ("usage", "usageMetadata")
_OLLAMA = ("prompt_eval_count", "eval_count")


def repair_body(body: bytes) -> bytes:
    """The same bytes if nothing is odd, or if they are no JSON object."""
    try:
        answer = json.loads(body)
        repaired = _repair(answer)
    except (ValueError, RecursionError):
        return body
    return body if repaired == answer else json.dumps(repaired).encode()


def _repair(answer: Any) -> Any:
    if not isinstance(answer, dict):
        return answer
    repaired = repair_answer(answer)
    for name in _ENVELOPES:
        if name in repaired:
            usage = repaired[name]
            repaired[name] = _counts(usage) if isinstance(usage, dict) else {}
    for name in _OLLAMA:
        if not is_count(repaired.get(name, 0)):
            del repaired[name]
    return repaired


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _counts(value) if isinstance(value, dict) else value
        for name, value in usage.items()
        if _may_be(name, value)
    }


def _may_be(name: str, value: object) -> bool:
    if name.endswith("_details"):
        return isinstance(value, dict)
    return is_count(value) or not name.lower().endswith(("tokens", "tokencount"))


def is_count(value: object) -> bool:
    """Whether it can be the tokens of one call."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 0 <= value <= _MOST_TOKENS  # type: ignore[operator]


def count(tokens: int | None) -> int | None:
    """The tokens, if they can be those of one call; None: not reported."""
    return tokens if is_count(tokens) else None
