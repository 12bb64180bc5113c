"""Doubts: what an LM that is not up to its task gives away."""

import pytest

from po_optimizer.product_owner.doubts import doubts_about
from po_optimizer.product_owner.schema import (
    ProductOwnerReview,
    ProductVision,
    Requirements,
    RequirementsAlignment,
)
from tests.product_owner.records import REQUIREMENTS, records, review, vision

CONCEPT = "Lend garden tools between neighbors, also without network"
SPANISH = "Prestar herramientas de jardín entre los vecinos, también sin red"


def doubts(concept=CONCEPT, requirements=REQUIREMENTS, changed_vision=None, **changed):
    """What is doubted in the documents with changes."""
    return doubts_about(
        concept,
        Requirements.from_yaml(requirements),
        ProductVision.model_validate({**vision(), **(changed_vision or {})}),
        ProductOwnerReview.model_validate(review(**changed)),
    )


def test_shipped_references_are_not_doubted():
    """A warning that careful work gets is one that nobody reads."""
    doubted = [
        record.input.concept_id
        for record in records()
        if doubts_about(
            record.input.concept,
            record.input.requirements,
            record.output.product_vision,
            record.output.product_owner_review,
        )
    ]
    assert doubted == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gaps": ["FR-7 and NFR001 are vague."]}, "No requirement is called FR-7."),
        ({"status": "misaligned", "conflicts": []}, "misaligned, but no conflict"),
        ({"status": "needs_adjustment", "conflicts": [], "gaps": []}, "no gap or"),
        (
            {
                "summary": ["The offers fit."] * 2,
                "narrative": "So: the tools fit well.",
            },
            "",
        ),
        (
            {"recommended_actions": ["FR002 needs a network for every loan."]},
            "",
        ),
        (
            {"gaps": ["Loans need a network here. Loans need a network here."]},
            "stands 2 times (requirements_alignment.gaps[0])",
        ),
        (
            {"changed_vision": {"product_summary": vision()["value_proposition"][0]}},
            "",
        ),
        (
            {
                "changed_vision": {
                    "non_goals": ["Every loan is confirmed by a neighbor"]
                },
                "narrative": "Every loan is confirmed by a neighbor.",
            },
            "stands 2 times (non_goals[0], narrative)",
        ),
        ({"aligned": ["FR001 (offers)", "C001"]}, "calling C001 aligned"),
        ({"changed_vision": {"target_users": []}}, "has no target_users"),
        ({"concept": SPANISH}, "in Spanish, the documents are in English"),
    ],
)
def test_marks_of_a_weak_lm_are_told(changes, told):
    """Each in a sentence that names what is wrong; short entries may stand twice."""
    found = " ".join(doubts(**changes))
    assert told in found if told else found == ""


def test_review_without_a_finding_is_doubted():
    """In many requirements a careful Product Owner finds one that is not done."""
    many = next(r for r in records() if len(r.input.requirements.every) > 9)
    given, output = many.input, many.output
    review_of = output.product_owner_review.model_copy(
        update={
            "status": "aligned",
            "requirements_alignment": RequirementsAlignment(
                aligned=[each.id for each in given.requirements.every],
                gaps=[],
                conflicts=[],
            ),
        }
    )
    told = doubts_about(
        given.concept, given.requirements, output.product_vision, review_of
    )
    assert [doubt for doubt in told if "may not have been judged" in doubt]


def test_vision_of_another_product_is_doubted():
    """Its words are not those of the concept or the requirements."""
    ours, other = records()[0], records()[1]
    found = doubts_about(
        ours.input.concept,
        ours.input.requirements,
        other.output.product_vision,
        other.output.product_owner_review,
    )
    assert any("may be about another product" in doubt for doubt in found)


def test_review_without_a_word_of_the_product_is_doubted():
    """It could stand under any product."""
    found = doubts(
        summary=["All good."],
        aligned=[],
        gaps=["It is vague."],
        conflicts=[],
        recommended_actions=["Go on."],
        narrative="Everything here is as it should be, in each and every regard.",
    )
    assert "no word in common" in " ".join(found)


def test_concept_alone_is_enough(tmp_path):
    """Without requirements the vision is held against the concept."""
    assert (
        doubts(
            requirements="title: Tools",
            aligned=[],
            gaps=["Tools: which?"],
            conflicts=[],
            summary=["Tools"],
            recommended_actions=["Ask."],
            narrative="Neighbors lend tools; nothing more is required yet.",
        )
        == []
    )
