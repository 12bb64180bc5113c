from typing import Any

import pytest

from po_optimizer.errors import DocumentError
from po_optimizer.product_owner.metric.outputs import (
    alignment_of,
    entries_of,
    read_output,
    text_of,
)
from po_optimizer.product_owner.schema import ProductVision
from tests.product_owner.records import vision


@pytest.mark.parametrize(
    "output",
    [
        vision(),
        ProductVision.model_validate(vision()),
        ProductVision.model_validate(vision()).to_yaml(),
        ProductVision.model_validate(vision()).model_dump_json(),
    ],
)
def test_forms_of_an_output_are_equal(output: Any) -> None:
    """A model, a mapping, YAML and JSON text give the same fields."""
    assert read_output(output, "product_vision") == vision()


@pytest.mark.parametrize("output", [None, "", "{}", {}, "text", "a: [", 7, ["a"]])
def test_what_cannot_be_judged_is_an_error(output: Any) -> None:
    """Nothing, emptiness and other kinds are refused under the output's name."""
    with pytest.raises(DocumentError, match="product_vision cannot be read"):
        read_output(output, "product_vision")


def test_blank_entries_do_not_count() -> None:
    """Only text counts as an entry, and only in a list."""
    assert entries_of(["a", " ", None, {"FR1": "b"}, []]) == ["a", "FR1: b"]
    assert entries_of("a") == []


def test_fields_of_a_wrong_kind_are_empty() -> None:
    """A text that is none is "", an alignment that is none has no lists."""
    assert text_of(["a"]) == ""
    assert alignment_of({"requirements_alignment": ["a"]}) == {}
