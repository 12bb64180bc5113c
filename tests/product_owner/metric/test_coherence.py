from typing import Any

import pytest

from po_optimizer.product_owner.metric.coherence import Coherence, coherence_of
from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.schema import ProductOwnerReview, Requirements
from tests.product_owner.records import REQUIREMENTS, review

TWO = [
    "FR002 needs a network for every loan, against NFR001.",
    "FR001 wants a photo although C001 keeps every address on the phone.",
]


def coherence(**changed: Any) -> Coherence:
    """The coherence of a right review with changes."""
    requirements = Requirements.from_yaml(REQUIREMENTS)
    reference = ProductOwnerReview.model_validate(review(conflicts=TWO))
    given = review(**{"conflicts": TWO, **changed})
    return coherence_of(RequirementIds(requirements), requirements, given, reference)


def test_the_reference_is_coherent() -> None:
    """It speaks of what it names, and there is nothing to say against it."""
    assert coherence().value == 1.0
    assert coherence().feedback == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"conflicts": ["FR002 because bananas are yellow", "FR001 so as well"]},
        {"conflicts": [TWO[0].replace("FR002", one) for one in ("FR001", "FR002")]},
        {"conflicts": ["C001 needs the shed", "NFR001 wants a photo of it"]},
        {"summary": ["Bananas are yellow."], "narrative": "Bananas grow in the sun."},
    ],
)
def test_a_review_beside_the_point_is_not(changed: dict[str, Any]) -> None:
    """No reason, one reason for all, another requirement's reason, small talk."""
    assert coherence(**changed).value < 0.85
    assert "repeat another, or say too little" in coherence(**changed).feedback[0]


def test_a_copied_narrative_is_not() -> None:
    """The requirements' own sentences are no review of them."""
    lines = [one.description for one in Requirements.from_yaml(REQUIREMENTS).every]
    copied = coherence(narrative=". ".join(lines), summary=lines)
    assert copied.value == 0.0
    assert "is copied from the requirements" in copied.feedback[-1]


def test_shuffled_sentences_are_not() -> None:
    """The right words in an order that no sentence has."""
    salad = "the a network of the in loans and the an garden the is the by FR002 the"
    shuffled = coherence(narrative=salad)
    assert (shuffled.value, shuffled.reasoned) == (0.0, 0.0)
    assert "it is not written in sentences" in shuffled.feedback


def test_without_gaps_and_conflicts_the_rest_gives_the_reasons() -> None:
    """An aligned review has nothing to list."""
    nothing = coherence(conflicts=[], gaps=[])
    assert nothing.reasons == ()
    assert nothing.reasoned == nothing.value == 1.0


def test_an_empty_review_says_nothing() -> None:
    """Nothing said is nothing of the matter."""
    empty = coherence(conflicts=[], gaps=[], summary=[], narrative="",
                      recommended_actions=[])  # fmt: skip
    assert (empty.value, empty.reasoned) == (0.0, 0.0)
