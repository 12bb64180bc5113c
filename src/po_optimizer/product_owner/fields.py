"""Field types of the documents: what is accepted, and what an LM is asked for."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?")


def as_text(value: Any) -> Any:
    """Text for what an LM or a YAML reader made of text; the rest unchanged."""
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    if isinstance(value, Mapping):  # `- FR001: too slow` is a mapping to YAML
        return "; ".join(f"{key}: {as_text(item)}" for key, item in value.items())
    if isinstance(value, int | float):
        return str(value)
    return value


# The bounds stand in the JSON schema only: small models need them to stop while they
# decode, and the longer answer of a better model must not be refused.
def _length(shortest: int, longest: int) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "minLength": shortest, "maxLength": longest}
    )


def size(fewest: int, most: int) -> Any:
    """How many entries an LM is asked for."""
    return Field(json_schema_extra={"minItems": fewest, "maxItems": most})


_AsText = BeforeValidator(as_text)
Text = Annotated[str, _AsText]
Entry = Annotated[str, _AsText, _length(3, 120)]
Name = Annotated[str, _AsText, _length(2, 60)]
ProductSummary = Annotated[str, _AsText, _length(40, 400)]
Narrative = Annotated[str, _AsText, _length(40, 500)]
Timestamp = Annotated[
    str, _AsText, WithJsonSchema({"type": "string", "format": "date-time"})
]
Entries = Annotated[list[Entry], size(1, 6)]
EntriesOrNone = Annotated[list[Entry], size(0, 6)]
Written = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), _AsText
]
"""Text of ours, as against an LM's: it must not be blank."""


def is_iso_8601(text: str) -> bool:
    """Whether a text is an ISO 8601 date, or date and time, that exists."""
    if not _ISO_8601.fullmatch(text):
        return False  # Python 3.11 also reads week dates and 20250224
    try:
        # Python 3.10 reads neither Z nor fractions of other than 3 or 6 digits.
        datetime.fromisoformat(re.sub(r"\.\d+", "", text.replace("Z", "+00:00")))
    except ValueError:
        return False
    return True
