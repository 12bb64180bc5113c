import copy
import json
from datetime import UTC, date, datetime
from typing import Any

import dspy
import pytest
from dspy.adapters.json_adapter import _get_structured_outputs_response_format
from dspy.clients.legacy_requests import _strict_json_schema
from pydantic import ValidationError

from po_optimizer.errors import DocumentError, field_problems
from po_optimizer.product_owner.metric import product_owner_metric
from po_optimizer.product_owner.program import WriteVisionAndReview
from po_optimizer.product_owner.record import ProductOwnerRecord
from po_optimizer.product_owner.schema import (
    ProductOwnerReview,
    ProductVision,
    Requirements,
    as_text,
    is_iso_8601,
)
from tests.product_owner.records import (
    REQUIREMENTS,
    raw_records,
    records,
    review,
    vision,
)


def broken(part: str, field: str, value: Any) -> dict[str, Any]:
    """The first shipped record with one field replaced."""
    record = copy.deepcopy(raw_records()[0])
    record[part][field] = value
    return record


def problems_of(record: dict[str, Any]) -> list[str]:
    """What the record is rejected for."""
    with pytest.raises(ValidationError) as caught:
        ProductOwnerRecord.model_validate(record)
    return field_problems(caught.value)


def test_all_shipped_records_are_valid() -> None:
    """Every one of the 180 shipped records passes."""
    assert len(records()) == 180


def test_requirements_are_read_from_yaml() -> None:
    """The three lists are one sequence, in the order of the document."""
    ids = [one.id for one in Requirements.from_yaml(REQUIREMENTS).every]
    assert ids == ["FR001", "FR002", "NFR001", "C001"]


def test_missing_lists_are_empty() -> None:
    """A document without requirements, or with bare keys, has none."""
    assert Requirements.from_yaml("title: x\nconstraints:\n").every == []


def test_requirement_ids_are_unique() -> None:
    """An id that stands twice, letter case aside, is refused by name."""
    text = "constraints: [{id: C1, description: a}, {id: c1, description: b}]"
    with pytest.raises(DocumentError, match=r"ids stand twice: c1 \(.*\.id, .*\.id\)"):
        Requirements.from_yaml(text)


WRONG = {
    "a list in a field for text": ("title: [a]", 1, 8, "title: Input should be a"),
    "text for a list": ("title: x\nconstraints: y", 2, 14, "constraints: Input should"),
    "no id": (
        "title: x\nconstraints:\n  - {id: C1, description: a}\n  - description: b",
        *(4, 5, "constraints[1].id: Field required"),
    ),
    "text for a requirement": ("constraints:\n  - C1", 2, 5, "constraints[0]: Input"),
    "text for meta": ("title: x\nmeta: y", 2, 7, "meta: Input should be"),
    "tabs": ("meta:\n\toriginal_request: x", 2, 1, "indent with spaces"),
    "in fences": ("Here:\n```\ntitle: []\n```", 3, 8, "title: Input should be"),
    "a list": ("- a", None, None, "lines of `key: value`, got list"),
    "only a comment": ("# to be done", None, None, "got nothing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requirements_are_told_with_line_and_field(case: str) -> None:
    """The first finding's place, as far as it has one, and every field."""
    text, line, column, told = WRONG[case]
    with pytest.raises(DocumentError) as caught:
        Requirements.from_yaml(text, "requirements")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert told in str(caught.value)


def test_document_errors_name_file_and_field() -> None:
    """The error of a document names the file and the path of the field."""
    text = "functional_requirements: [{id: FR1}]"
    with pytest.raises(DocumentError) as caught:
        Requirements.from_yaml(text, "planning/requirements.yaml")
    assert str(caught.value) == (
        "planning/requirements.yaml cannot be read at line 1, column 27: "
        "functional_requirements[0].description: Field required"
    )


@pytest.mark.parametrize(
    ("part", "field", "value", "problem"),
    [
        ("input", "tier", "huge", "input.tier: Input should be 'simple', 'medium'"),
        ("input", "language", "English", "input.language: String should match"),
        ("input", "concept", "  ", "input.concept: String should have at least 1"),
        (
            "input",
            "requirements_yaml",
            "constraints: [{id: C1}]",
            "input.requirements_yaml.constraints[0].description: Field required",
        ),
        (
            "input",
            "existing_vision",
            "a: [",
            "input.existing_vision: existing_vision cannot be read at line 1",
        ),
        (
            "output",
            "product_owner_review",
            "status: fine",
            "output.product_owner_review.status: Input should be 'aligned'",
        ),
        (
            "output",
            "product_vision",
            "a: [b",
            "output.product_vision: product_vision cannot be read at line 1, column 6",
        ),
    ],
)
def test_problems_name_the_field(
    part: str, field: str, value: str, problem: str
) -> None:
    """Each problem starts with the path of the field, through the YAML text too."""
    assert problem in "\n".join(problems_of(broken(part, field, value)))


@pytest.mark.parametrize(
    ("name", "document", "warning"),
    [
        ("product_vision", vision(last_updated="soon"), "last_updated='soon' is not"),
        (
            "product_vision",
            {"product_name": "x"},
            "vision.target_users is missing",
        ),
        ("product_owner_review", "status: aligned", "requirements_alignment.conflicts"),
        ("product_owner_review", review(summary="Fits."), "summary is a text, not a"),
    ],
)
def test_incomplete_reference_is_used_with_a_warning(
    name: str, document: Any, warning: str
) -> None:
    """What is missing is empty to the metric, which can read the rest."""
    record = ProductOwnerRecord.model_validate(broken("output", name, document))
    assert warning in "; ".join(record.warnings())
    example = record.to_example()
    assert product_owner_metric(example, dspy.Prediction(**example.labels())) > 0
    assert records()[0].warnings() == ()


def test_record_needs_neither_language_nor_tier() -> None:
    """The original project's records have none, nor an id."""
    record = copy.deepcopy(raw_records()[0])
    for name in ("language", "tier", "concept_id"):
        del record["input"][name]
    checked = ProductOwnerRecord.model_validate(record)
    assert checked.stratum() == ("unknown", "unknown")
    assert "concept_id" not in checked.to_example()


def test_example_marks_the_three_inputs() -> None:
    """Only what the program reads is an input; tier and language travel along."""
    example = records()[0].to_example()
    assert set(example.inputs().keys()) == {
        "concept",
        "requirements_yaml",
        "existing_vision",
    }
    assert (example.tier, example.language) == records()[0].stratum()
    assert example.concept_id == "PO-C12"
    assert example.domain == "industry and logistics"


def test_example_keeps_the_requirements_as_written() -> None:
    """The LM sees the analyst's own text, not one that we wrote."""
    raw = raw_records()[0]["input"]["requirements_yaml"]
    assert records()[0].to_example().requirements_yaml == raw


def test_labeled_demos_render_as_json() -> None:
    """A demo of a typed reference renders as the JSON that is asked of the LM."""
    demo, example = (record.to_example() for record in records()[:2])
    messages = dspy.JSONAdapter().format(
        WriteVisionAndReview, [demo], dict(example.inputs())
    )
    shown = json.loads(messages[2]["content"])
    assert shown["product_vision"] == demo.product_vision.model_dump()
    assert shown["product_owner_review"] == demo.product_owner_review.model_dump()


def test_identity_is_the_record_s_own_words() -> None:
    """Ids, priorities and YAML keys, which all records share, are no part of it."""
    identity = records()[0].identity()
    assert raw_records()[0]["input"]["concept"] in identity
    assert "FR001" not in identity
    assert "priority" not in identity


def test_documents_survive_yaml() -> None:
    """Every reference is the same after it was written and read."""
    for record in records()[::20]:
        written = record.output.product_owner_review.to_yaml()
        assert (
            ProductOwnerReview.from_yaml(written) == record.output.product_owner_review
        )


def test_longer_answers_are_valid() -> None:
    """The bounds are for decoding: a better model may write more."""
    long = review(summary=["word " * 100] * 9, narrative="word " * 1000)
    assert len(ProductOwnerReview.model_validate(long).summary) == 9
    assert ProductVision.model_validate(vision(product_summary="short"))


def test_last_updated_accepts_a_timestamp() -> None:
    """An unquoted YAML timestamp is ISO 8601 text in the document."""
    text = ProductVision.model_validate(vision()).to_yaml()
    unquoted = text.replace("'2025-02-24T00:00:00+00:00'", "2025-02-24T00:00:00Z")
    assert unquoted != text
    assert ProductVision.from_yaml(unquoted).last_updated == "2025-02-24T00:00:00+00:00"


def unbounded(schema: Any, path: str = "") -> list[str]:
    """The lists and texts of a JSON schema that could go on forever."""
    found: list[str] = []
    if isinstance(schema, dict):
        if schema.get("type") == "array" and "maxItems" not in schema:
            found.append(path)
        ends = {"maxLength", "enum", "format"}
        if schema.get("type") == "string" and not ends & schema.keys():
            found.append(path)
        for key, part in schema.items():
            found += unbounded(part, f"{path}/{key}")
    return found


def test_every_list_and_text_is_bounded_for_decoding() -> None:
    """DSPy's response format, as it is sent, still bounds all that is decoded."""
    response_format = _get_structured_outputs_response_format(WriteVisionAndReview)
    sent = _strict_json_schema(response_format.model_json_schema())
    assert unbounded(sent) == []
    aligned = sent["$defs"]["RequirementsAlignment"]["properties"]["aligned"]
    assert aligned["minItems"] == 0
    assert {"minLength", "maxLength"} < aligned["items"].keys()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2025, 2, 24, tzinfo=UTC), "2025-02-24T00:00:00+00:00"),
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
