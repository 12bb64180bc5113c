from typing import Any

import pytest

from po_optimizer.product_owner.metric.judgement import (
    JUDGED_NAMES,
    judge_by_reference,
)
from po_optimizer.product_owner.metric.rubric import Component
from po_optimizer.product_owner.schema import ProductOwnerReview, Requirements
from tests.product_owner.records import REQUIREMENTS, records, review, vision


def components(
    changed_review: dict[str, Any] | None = None,
    changed_reference: dict[str, Any] | None = None,
    **changed_vision: Any,
) -> dict[str, Component]:
    """The components, by name, on a right answer with changes."""
    found = judge_by_reference(
        Requirements.from_yaml(REQUIREMENTS),
        vision(**changed_vision),
        review(**changed_review or {}),
        ProductOwnerReview.model_validate(review(**changed_reference or {})),
    )
    return {one.name: one for one in found}


def test_a_right_answer_earns_all() -> None:
    """Every component is 1.0 and silent for the reference itself."""
    found = components()
    assert tuple(found) == JUDGED_NAMES
    assert {one.value for one in found.values()} == {1.0}
    assert not any(one.feedback for one in found.values())


@pytest.mark.parametrize(
    ("status", "expected", "value"),
    [
        ("aligned", "aligned", 1.0),
        ("aligned", "needs_adjustment", 0.25),
        ("misaligned", "needs_adjustment", 0.25),
        ("aligned", "misaligned", 0.0),
        ("fine", "aligned", 0.0),
    ],
)
def test_verdict(status: str, expected: str, value: float) -> None:
    """One step off earns a quarter, two steps or no status nothing."""
    found = components({"status": status}, {"status": expected})["verdict"]
    assert found.value == value
    if value < 1:
        assert found.feedback == (f"status is {status}, the reference says {expected}",)


FR002 = "FR002 confirms every loan online, and there is no network"
BOTH = "FR-2 needs a network for every loan; under nfr_1 lending works without"


@pytest.mark.parametrize(
    ("conflicts", "value"),
    [
        ([BOTH], 1.0),
        ([FR002], (2 / 3 - 1 / 3) / (1 - 1 / 3)),
        ([BOTH, "FR099"], (4 / 5 - 2 / 5) / (1 - 2 / 5)),
        ([f"{FR002}, says C001"], 0.0),
        (["FR001 offers garden tools"], 0.0),
        (["Something is wrong"], 0.0),
        ([], 0.0),
    ],
)
def test_conflicts_are_scored_by_f1_above_chance(
    conflicts: list[str], value: float
) -> None:
    """As many ids at random earn 0; misses, false alarms, invented ids cost."""
    assert components({"conflicts": conflicts})["conflicts"].value == pytest.approx(
        value
    )


@pytest.mark.parametrize(
    "entry",
    [
        "{}: network, loan, online, confirmed, works without, lending, photo",
        "{}: lending works without network, every loan is confirmed online at once",
    ],
)
def test_naming_every_requirement_earns_nothing(entry: str) -> None:
    """Who lists all of them has found nothing, whatever is said of them."""
    everything = [entry.format(one) for one in ("FR001", "FR002", "NFR001", "C001")]
    found = components({"conflicts": everything, "gaps": everything})
    assert (found["conflicts"].value, found["gaps"].value) == (0.0, 0.0)


def test_naming_every_requirement_is_right_where_the_reference_does() -> None:
    """Where all are in conflict there is no chance to correct for."""
    entry = "FR001 offers tools, C001 hides the address, FR002 and NFR001 the network"
    found = components({"conflicts": [entry]}, {"conflicts": [entry]})
    assert found["conflicts"].value == 1.0


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("FR002 and NFR001 because bananas are yellow", 0.0),
        ("FR002, NFR001", 0.0),
        ("FR002 and NFR001: a photo of tools that neighbors offer in a garden", 0.0),
    ],
)
def test_the_right_ids_for_no_reason_earn_nothing(entry: str, value: float) -> None:
    """An id counts if its entry speaks of it and of what is wrong with it."""
    found = components({"conflicts": [entry]})["conflicts"]
    assert found.value == value
    assert "says too little of it" in found.feedback[-1]


def test_a_requirement_s_own_words_are_half_a_reason() -> None:
    """A conflict has two sides: quoting one of them says half."""
    reasons = {"conflicts": ["FR002 asks for a wire in each shed"]}
    entry = "FR002: every loan is confirmed online at once"
    value = components({"conflicts": [entry]}, reasons)["conflicts"].value
    assert value == pytest.approx((1 / 2 - 1 / 4) / (1 - 1 / 4))


def test_a_missed_conflict_is_explained() -> None:
    """The feedback says which requirement was missed, and why it is a conflict."""
    found = components({"conflicts": [f"FR001: {FR002}"]})["conflicts"]
    assert found.feedback == (
        'NFR001 ("Lending works without network") not named; the reference: '
        '"FR002 needs a network for every loan, against NFR001."',
        'FR001 ("Neighbors offer garden tools with a photo") named, '
        "not so in the reference",
    )


@pytest.mark.parametrize(
    ("gaps", "expected", "value"),
    [
        ([], [], 1.0),
        (["FR001 is vague"], [], 0.0),
        (["Nobody moderates"], ["No requirement covers moderation"], 1.0),
        ([], ["No requirement covers moderation"], 0.0),
    ],
)
def test_without_reference_ids_only_presence_counts(
    gaps: list[str], expected: list[str], value: float
) -> None:
    """Where the reference names no id, there is something on both sides or none."""
    found = components({"gaps": gaps}, {"gaps": expected})["gaps"]
    assert found.value == value
    assert bool(found.feedback) == (value < 1)


def test_invented_ids_count_against_the_review() -> None:
    """The component is the share of the cited ids that exist."""
    found = components({"summary": ["FR009 and NFR9 are fine."]})["ids"]
    assert found.value == pytest.approx(4 / 6)
    assert found.feedback == ("no requirement is called FR009, NFR9",)


def test_a_review_without_ids_is_not_traceable() -> None:
    """Nothing cited earns nothing, unless there is nothing to cite."""
    bare = {"aligned": ["all"], "gaps": ["all"], "conflicts": ["all"]}
    texts = {"recommended_actions": ["a"], "narrative": "b", "summary": ["c"]}
    assert components({**bare, **texts})["ids"].value == 0.0
    found = judge_by_reference(
        Requirements(),
        vision(),
        review(**bare, **texts),
        ProductOwnerReview.model_validate(review()),
    )
    assert found[3] == Component("ids", 1.0)


@pytest.mark.parametrize(
    ("changed", "consistent"),
    [
        ({"status": "aligned"}, False),
        ({"status": "aligned", "conflicts": []}, True),
        ({"status": "needs_adjustment", "conflicts": []}, True),
        ({"status": "needs_adjustment", "conflicts": [], "gaps": []}, False),
        ({"status": "misaligned", "conflicts": []}, False),
        ({"status": "misaligned"}, True),
        ({"status": None}, False),
    ],
)
def test_status_must_follow_from_the_lists(
    changed: dict[str, Any], consistent: bool
) -> None:
    """Aligned with conflicts, misaligned without: the review contradicts itself."""
    assert components(changed)["consistency"].value == float(consistent)


def test_a_vision_of_another_product_is_not_grounded() -> None:
    """Words that the requirements do not know show that a demo was copied."""
    fields = records()[0].output.product_vision.model_dump()
    found = components(**fields)["grounding"]
    assert found.value < 0.2
    assert "of the vision's words stand in the requirements" in found.feedback[0]


def test_a_vision_copied_from_the_requirements_is_not_grounded() -> None:
    """The requirements' own sentences are no vision of them."""
    lines = [one.description for one in Requirements.from_yaml(REQUIREMENTS).every]
    found = components(product_summary=". ".join(lines), key_capabilities=lines)
    assert found["grounding"].value == 0.0
    assert "copied from the requirements" in found["grounding"].feedback[-1]


def test_a_vision_of_shuffled_words_is_not_grounded() -> None:
    """The right words in an order that no sentence has are no vision."""
    salad = "the a network of the in tools and the an lend the is garden the by loan"
    found = components(product_summary=salad)["grounding"]
    assert found.value == 0.0
    assert found.feedback[-1] == "the vision is not written in sentences"


def test_an_empty_vision_is_not_grounded() -> None:
    """No words at all earn nothing."""
    nothing = dict.fromkeys(vision(), None)
    assert components(**nothing)["grounding"].value == 0.0
