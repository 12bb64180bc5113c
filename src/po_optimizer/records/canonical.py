"""Values as texts and digests by which equal ones are known, in every process."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def canonical(value: Any) -> str:
    """The value as text, the same in every process: without addresses, sorted."""
    return json.dumps(_plain(value), sort_keys=True)


def digest(value: Any) -> str:
    """A digest that equal values have in every process."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(canonical(item) for item in value)
    if isinstance(value, BaseModel):
        # a representation would cut an image; DSPy's REPLHistory iterates its entries
        fields = dict(BaseModel.__iter__(value))
        return [type(value).__qualname__, _plain(fields)]
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
