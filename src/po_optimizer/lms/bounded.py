"""Bounds on constrained decoding, so that a small model finds an end.

A small model left alone with an unbounded list or string writes until its token
limit, and the cut answer cannot be read. The bounds tighten the JSON schema of the
request only: what is accepted as an answer stays the program's own matter.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dspy.lm15 import Request, Response

from po_optimizer.params import DecodingBounds


class BoundedEngine:
    """An engine whose requests carry a bounded schema.

    Args:
        engine: The engine that answers.
        bounds: The most that lists and strings may hold.
    """

    def __init__(self, engine: Any, bounds: DecodingBounds) -> None:
        self._engine = engine
        self._bounds = bounds

    def complete(self, request: Request) -> Response:
        """The answer to the bounded request."""
        wanted = request.config.response_format
        if wanted is not None:
            bounded = bound_schema(wanted, self._bounds)
            config = replace(request.config, response_format=bounded)
            request = replace(request, config=config)
        answer: Response = self._engine.complete(request)
        return answer


def bound_schema(schema: Any, bounds: DecodingBounds, *, in_list: bool = False) -> Any:
    """The schema with every list and string bounded; tighter bounds of its own stay.

    Args:
        schema: A JSON schema or a part of one; it is not changed.
        bounds: The most that lists and strings may hold.
        in_list: The schema is that of a list's items.
    """
    if isinstance(schema, list):
        return [bound_schema(part, bounds) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    bounded = {
        key: bound_schema(part, bounds, in_list=key == "items")
        for key, part in schema.items()
    }
    if schema.get("type") == "array":
        bounded["maxItems"] = _least(schema.get("maxItems"), bounds.items)
    if schema.get("type") == "string" and not {"enum", "const", "format"} & set(schema):
        most = bounds.item_characters if in_list else bounds.text_characters
        bounded["maxLength"] = _least(schema.get("maxLength"), most)
    return bounded


def _least(own: Any, bound: int) -> int:
    return min(own, bound) if isinstance(own, int) else bound
