"""Bounds on constrained decoding, so that a small model finds an end.

A small model left alone with an unbounded list or string writes until its token
limit, and the cut answer cannot be read. The bounds tighten the JSON schema of the
request only: what is accepted as an answer stays the program's own matter.
"""

from collections.abc import Mapping, Sequence
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
        if wanted is not None and "schema" in wanted:
            schema = bound_schema(wanted["schema"], self._bounds)
            bounded = {**wanted, "schema": schema}
            config = replace(request.config, response_format=bounded)
            request = replace(request, config=config)
        answer: Response = self._engine.complete(request)
        return answer


_ONE = {"items", "additionalProperties", "contains", "not", "if", "then", "else"}
_LIST = {"anyOf", "oneOf", "allOf", "prefixItems"}
_NAMED = {"properties", "patternProperties", "$defs", "definitions"}


def bound_schema(schema: Any, bounds: DecodingBounds, *, in_list: bool = False) -> Any:
    """The schema with every list and string bounded; tighter bounds of its own stay.

    A lower limit of the schema's own wins, or no answer could satisfy it.

    Args:
        schema: A JSON schema or a part of one; it is not changed.
        bounds: The most that lists and strings may hold.
        in_list: The schema is that of a list's items.
    """
    if not isinstance(schema, Mapping):
        return schema
    bounded = {key: _bound_part(key, part, bounds) for key, part in schema.items()}
    if schema.get("type") == "array":
        bounded["maxItems"] = _most(schema, "Items", bounds.items)
    if schema.get("type") == "string" and not {"enum", "const", "format"} & set(schema):
        most = bounds.item_characters if in_list else bounds.text_characters
        bounded["maxLength"] = _most(schema, "Length", most)
    return bounded


def _bound_part(key: str, part: Any, bounds: DecodingBounds) -> Any:
    """What one keyword holds: schemas are bounded, values and names stay."""
    if key in _ONE:
        return bound_schema(part, bounds, in_list=key == "items")
    if key in _LIST and isinstance(part, Sequence):
        return [bound_schema(one, bounds) for one in part]
    if key in _NAMED and isinstance(part, Mapping):
        return {name: bound_schema(one, bounds) for name, one in part.items()}
    return part


def _most(schema: Mapping[str, Any], limit: str, bound: int) -> int:
    own = schema.get(f"max{limit}", bound)
    return int(max(min(own, bound), schema.get(f"min{limit}", 0)))
