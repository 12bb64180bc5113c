import enum
from typing import Any, Literal

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from po_optimizer.evaluation.corruptions import (
    CORRUPTIONS,
    flipped,
    truncated,
    without_ids,
)
from po_optimizer.roles.metric import output_types


class Color(enum.Enum):
    """Two values."""

    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    """Nested in Review."""

    conflicts: list[str]


class Review(BaseModel):
    """A typed output with all that can be spoiled."""

    status: Literal["aligned", "misaligned"] = "aligned"
    verdict: Literal["yes", "no"] | None = "yes"
    color: Color = Color.RED
    agreed: bool = True
    inner: Inner


def _review() -> Review:
    return Review(inner=Inner(conflicts=["FR001 against NFR-12", "C3 alone"]))


@pytest.mark.parametrize("text", ["FR001", "FR-01", "NFR-12", "C3"])
def test_ids_of_every_style_are_removed(text: str) -> None:
    """Ids with and without hyphen go, the words around them stay."""
    assert without_ids({"a": f"see {text} there"}, {})["a"] == "see there"


def test_ids_are_removed_deep_inside_typed_outputs() -> None:
    """A typed output stays typed and loses its ids in nested lists."""
    review = without_ids({"review": _review()}, {})["review"]
    assert isinstance(review, Review)
    assert review.inner.conflicts == [" against ", " alone"]


def test_values_from_a_closed_set_are_flipped() -> None:
    """Literal, optional Literal, Enum and bool become another allowed value."""
    review = flipped({"review": _review()}, {})["review"]
    assert (review.status, review.verdict) == ("misaligned", "no")
    assert (review.color, review.agreed) == (Color.BLUE, False)
    assert review.inner == _review().inner


def test_plain_values_are_flipped_by_the_signatures_type() -> None:
    """A top-level Literal is known from the program's output field."""

    class Judge(dspy.Signature):
        """Judges."""

        text: str = dspy.InputField()
        label: Literal["good", "bad"] = dspy.OutputField()

    types = output_types(dspy.Predict(Judge))
    assert flipped({"label": "good"}, types) == {"label": "bad"}
    assert flipped({"label": "good"}, {}) == {"label": "good"}


def test_truncation_halves_texts_and_lists() -> None:
    """Each text keeps its first half and each list its first half."""
    spoiled = truncated({"review": _review(), "text": "abcd", "n": 3}, {})
    assert spoiled["review"].inner.conflicts == ["FR001 agai"]
    assert (spoiled["text"], spoiled["n"]) == ("ab", 3)
    assert (spoiled["review"].color, spoiled["review"].status) == (Color.RED, "aligned")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=4), JSON, max_size=3))
def test_no_output_is_beyond_corruption(outputs: dict[str, Any]) -> None:
    """Any JSON value can be put through each corruption and keeps its fields."""
    for corrupt in CORRUPTIONS.values():
        assert set(corrupt(outputs, {})) == set(outputs)
