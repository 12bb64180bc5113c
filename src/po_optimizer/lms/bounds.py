"""Bounds on constrained decoding, so that a small model finds an end.

A small model left alone with an unbounded list or string writes until its token
limit, and the cut answer cannot be read. The bounds tighten the JSON schema of the
request only: what is accepted as an answer stays the program's own matter.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from po_optimizer.params import DecodingBounds

_SCHEMA = {"items", "additionalProperties", "contains", "not", "if", "then", "else"}
_SCHEMAS = {"anyOf", "oneOf", "allOf", "prefixItems"}
_NAMED_SCHEMAS = {"properties", "patternProperties", "$defs", "definitions"}


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
    if key in _SCHEMA:
        return bound_schema(part, bounds, in_list=key == "items")
    if key in _SCHEMAS and isinstance(part, Sequence):
        return [bound_schema(item, bounds) for item in part]
    if key in _NAMED_SCHEMAS and isinstance(part, Mapping):
        return {name: bound_schema(item, bounds) for name, item in part.items()}
    return part


def _most(schema: Mapping[str, Any], limit: str, bound: int) -> int:
    own = schema.get(f"max{limit}", bound)
    return int(max(min(own, bound), schema.get(f"min{limit}", 0)))
