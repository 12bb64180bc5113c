from typing import Any

import pytest

from po_optimizer.product_owner.metric.judgement import (
    JUDGED_NAMES,
    Finding,
    judge_by_reference,
)
from po_optimizer.product_owner.schema import ProductOwnerReview, Requirements
from tests.product_owner.records import REQUIREMENTS, records, review, vision


def findings(
    changed_review: dict[str, Any] | None = None,
    changed_reference: dict[str, Any] | None = None,
    **changed_vision: Any,
) -> dict[str, Finding]:
    """The findings, by name, on a right answer with changes."""
    found = judge_by_reference(
        Requirements.from_yaml(REQUIREMENTS),
        vision(**changed_vision),
        review(**changed_review or {}),
        ProductOwnerReview.model_validate(review(**changed_reference or {})),
    )
    return {one.name: one for one in found}


def test_a_right_answer_earns_all() -> None:
    """Every component is 1.0 and silent for the reference itself."""
    found = findings()
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
    found = findings({"status": status}, {"status": expected})["verdict"]
    assert found.value == value
    if value < 1:
        assert found.feedback == (f"status is {status}, the reference says {expected}",)


@pytest.mark.parametrize(
    ("conflicts", "value"),
    [
        (["NFR-1 against FR-2"], 1.0),
        (["FR002 is wrong"], 2 * 1 / (1 + 2)),
        (["FR002 against C001"], 2 * 1 / (2 + 2)),
        (["FR002 and NFR001 against FR099"], 2 * 2 / (3 + 2)),
        (["FR001"], 0.0),
        (["Something is wrong"], 0.0),
        ([], 0.0),
    ],
)
def test_conflicts_are_scored_by_f1_of_ids(conflicts: list[str], value: float) -> None:
    """Misses, false alarms and invented ids lower the F1."""
    assert findings({"conflicts": conflicts})["conflicts"].value == pytest.approx(value)


def test_a_missed_conflict_is_explained() -> None:
    """The feedback says which requirement was missed, and why it is a conflict."""
    found = findings({"conflicts": ["FR001 against FR002"]})["conflicts"]
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
    found = findings({"gaps": gaps}, {"gaps": expected})["gaps"]
    assert found.value == value
    assert bool(found.feedback) == (value < 1)


def test_invented_ids_count_against_the_review() -> None:
    """The component is the share of the cited ids that exist."""
    found = findings({"summary": ["FR009 and NFR9 are fine."]})["ids"]
    assert found.value == pytest.approx(4 / 6)
    assert found.feedback == ("no requirement is called FR009, NFR9",)


def test_a_review_without_ids_is_not_traceable() -> None:
    """Nothing cited earns nothing, unless there is nothing to cite."""
    bare = {"aligned": ["all"], "gaps": ["all"], "conflicts": ["all"]}
    texts = {"recommended_actions": ["a"], "narrative": "b", "summary": ["c"]}
    assert findings({**bare, **texts})["ids"].value == 0.0
    found = judge_by_reference(
        Requirements(),
        vision(),
        review(**bare, **texts),
        ProductOwnerReview.model_validate(review()),
    )
    assert found[3] == Finding("ids", 1.0)


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
    assert findings(changed)["consistency"].value == float(consistent)


def test_a_vision_of_another_product_is_not_grounded() -> None:
    """Words that the requirements do not know show that a demo was copied."""
    fields = records()[0].output.product_vision.model_dump()
    found = findings(**fields)["grounding"]
    assert found.value < 0.2
    assert "of the vision's words stand in the requirements" in found.feedback[0]


def test_an_empty_vision_is_not_grounded() -> None:
    """No words at all earn nothing."""
    nothing = dict.fromkeys(vision(), None)
    assert findings(**nothing)["grounding"].value == 0.0
