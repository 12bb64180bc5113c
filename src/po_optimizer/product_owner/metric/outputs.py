"""The program's outputs in whatever form they arrive, as mappings of plain values."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from po_optimizer.errors import DocumentError
from po_optimizer.product_owner.schema import as_text
from po_optimizer.product_owner.yaml_text import read_yaml

Fields = Mapping[str, Any]


def read_output(output: Any, name: str) -> Fields:
    """An output's fields; they need not be complete or of the right type.

    Args:
        output: A pydantic model, a mapping, or YAML (JSON too) text.
        name: The output's name, for the error.

    Raises:
        DocumentError: There is nothing in it that could be judged.
    """
    if isinstance(output, BaseModel):
        fields: Fields = output.model_dump()
    elif isinstance(output, str):
        fields = read_yaml(output, name)
    elif isinstance(output, Mapping):
        fields = output
    elif output is None:
        raise DocumentError(name, "the prediction has no such field")
    else:
        kind = type(output).__name__
        raise DocumentError(name, f"a mapping or YAML text is wanted, got {kind}")
    if not fields:
        raise DocumentError(name, "it is empty")
    return fields


def text_of(value: Any) -> str:
    """A field's text without surrounding space; "" if it is none."""
    text = as_text(value)
    return text.strip() if isinstance(text, str) else ""


def entries_of(value: Any) -> list[str]:
    """A list field's entries that are not blank; [] if it is no list."""
    if not isinstance(value, list | tuple):
        return []
    return [text for text in map(text_of, value) if text]


def alignment_of(review: Fields) -> Fields:
    """The review's requirements_alignment; empty if it is no mapping."""
    alignment = review.get("requirements_alignment")
    return alignment if isinstance(alignment, Mapping) else {}
