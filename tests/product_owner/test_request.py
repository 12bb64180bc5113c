"""What the Product Owner is asked follows from document, concept and vision."""

import pytest
import yaml

from po_optimizer.errors import DocumentError, PoOptimizerError
from po_optimizer.product_owner.request import read_request
from po_optimizer.product_owner.schema import ProductVision
from tests.product_owner.records import REQUIREMENTS, vision

CONCEPT = "Lend garden tools between neighbors"


def test_document_gives_the_concept():
    """`meta.original_request` is the concept; the document is passed on as it is."""
    request = read_request(REQUIREMENTS, None, "")
    assert request.inputs["concept"] == CONCEPT
    assert request.inputs["requirements_yaml"] == REQUIREMENTS.strip()
    assert request.inputs["existing_vision"] == ""
    assert request.warnings == []


def test_concept_fills_in_for_the_document():
    """CONCEPT is asked where the document has no original request."""
    request = read_request("title: x", " A planner ", "")
    assert request.inputs["concept"] == "A planner"
    assert request.warnings == []


def test_document_wins_over_another_concept():
    """Both and different: the document's is taken, with a warning."""
    request = read_request(REQUIREMENTS, "Something else", "")
    assert request.inputs["concept"] == CONCEPT
    assert request.warnings == [
        "CONCEPT differs from meta.original_request: the latter wins."
    ]


def test_same_concept_in_other_spacing_is_no_difference():
    """A line break in the YAML is no reason for a warning."""
    given = CONCEPT.replace(" ", "\n  ")
    assert read_request(REQUIREMENTS, given, "").warnings == []


def test_comment_of_low_trust_is_not_passed_on():
    """The next run's LM reads the vision, not what was thought of it."""
    text = ProductVision.model_validate(vision()).to_yaml()
    marked = f"# Low trust: read before use.\n{text}"
    request = read_request(REQUIREMENTS, None, marked)
    assert request.inputs["existing_vision"] == text.strip()


def test_concept_alone_makes_a_document():
    """Without requirements the concept stands in a document of its own."""
    request = read_request("  \n", "A planner", "")
    document = yaml.safe_load(request.inputs["requirements_yaml"])
    assert document["meta"]["original_request"] == "A planner"
    assert request.warnings == [
        "There is no requirements document: the concept stands alone."
    ]


@pytest.mark.parametrize("requirements", ["", "title: x"])
@pytest.mark.parametrize("concept", [None, "", "  "])
def test_no_concept_at_all_is_an_error(requirements, concept):
    """The error says where to write it."""
    with pytest.raises(PoOptimizerError, match=r"meta.original_request.*CONCEPT"):
        read_request(requirements, concept, "")


def test_existing_vision_is_checked_and_passed_on():
    """A readable vision goes into the prompt as it stands."""
    text = yaml.safe_dump(vision())
    assert read_request(REQUIREMENTS, None, text).inputs["existing_vision"] == (
        text.strip()
    )


@pytest.mark.parametrize(
    ("requirements", "existing", "named"),
    [
        ("title: [", "", "requirements"),
        ("- a list", "", "requirements"),
        (REQUIREMENTS, "product_name: [", "existing_vision"),
    ],
)
def test_unreadable_document_is_named(requirements, existing, named):
    """Nothing is asked when a document cannot be read."""
    with pytest.raises(DocumentError, match=named):
        read_request(requirements, "A planner", existing)


def test_misspelt_key_of_the_requirements_is_told():
    """A list that nobody reads is a warning; a writer's own key is not."""
    text = "meta: {original_request: x}\nconstraint: []\nauthor: me\n"
    assert read_request(text, None, "").warnings == [
        "requirements: the key constraint is not read (did you mean constraints?)."
    ]
