from datetime import date, datetime, timezone
from typing import Any

import pytest

from po_optimizer.product_owner.fields import as_text, is_iso_8601


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2025, 2, 24, tzinfo=timezone.utc), "2025-02-24T00:00:00+00:00"),
        (date(2025, 2, 24), "2025-02-24"),
        ({"FR001": "too slow"}, "FR001: too slow"),
        ({"id": "FR001", "on": date(2025, 2, 24)}, "id: FR001; on: 2025-02-24"),
        (7, "7"),
        ("as it is", "as it is"),
    ],
)
def test_what_was_text_becomes_text(value: Any, text: str) -> None:
    """What a YAML reader or an LM made of a text is turned back into it."""
    assert as_text(value) == text


@pytest.mark.parametrize("value", [None, ["a"], b"a"])
def test_other_values_are_left_to_validation(value: Any) -> None:
    """No text is invented for what never was one."""
    assert as_text(value) is value


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-24",
        "2025-02-24T10:00",
        "2025-02-24T10:00:00Z",
        "2025-02-24 10:00:00.5+01:00",
        "2025-02-24T10:00:00.1234567Z",
    ],
)
def test_iso_8601_is_recognized(text: str) -> None:
    """Dates and times in ISO 8601 pass, on every supported Python."""
    assert is_iso_8601(text)


@pytest.mark.parametrize(
    "text", ["", "today", "24.02.2025", "2025-13-45", "2025-02-30", "20250224", "2025"]
)
def test_other_dates_are_not_iso_8601(text: str) -> None:
    """Other notations, and days that do not exist, do not pass."""
    assert not is_iso_8601(text)
