from typing import Any

import pytest

from po_optimizer.product_owner.metric import score_outputs
from po_optimizer.product_owner.metric.rubric import (
    PART_NAMES,
    coverage_points,
    judge_by_rubric,
    words_of,
)
from po_optimizer.product_owner.schema import Requirements
from tests.product_owner.records import REQUIREMENTS, raw_records, review, vision

CHECK = 1.0 / 16


def parts(
    changed_vision: dict[str, Any] | None = None,
    changed_review: dict[str, Any] | None = None,
    requirements: str = REQUIREMENTS,
) -> dict[str, float]:
    """The four parts when fields of outputs that lose nothing are changed."""
    judged = judge_by_rubric(
        Requirements.from_yaml(requirements),
        vision(**changed_vision or {}),
        review(**changed_review or {}),
    )
    return {part.name: part.value for part in judged}


def test_full_marks() -> None:
    """Outputs can earn every point of every part."""
    assert parts() == dict.fromkeys(PART_NAMES, 1.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"product_name": " "},
        {"product_summary": "x" * 39},
        {"target_users": []},
        {"value_proposition": "one"},
        {"key_capabilities": [""]},
        {"success_metrics": None},
        {"non_goals": None},
        {"last_updated": "soon"},
    ],
)
def test_each_vision_check_is_a_sixteenth_of_the_schema(
    changed: dict[str, Any],
) -> None:
    """A field of the vision that is missing or wrong costs one check of 16."""
    assert parts(changed)["schema"] == pytest.approx(1 - CHECK, abs=1e-12)


@pytest.mark.parametrize(
    ("changed", "n_lost"),
    [
        ({"status": "fine"}, 1),
        ({"status": ["aligned"]}, 1),
        ({"summary": []}, 1),
        ({"requirements_alignment": None}, 4),
        ({"aligned": None}, 1),
        ({"gaps": "none"}, 1),
        ({"conflicts": None}, 1),
        ({"recommended_actions": []}, 1),
        ({"narrative": "x" * 39}, 1),
    ],
)
def test_each_review_check_is_a_sixteenth_of_the_schema(
    changed: dict[str, Any], n_lost: int
) -> None:
    """So does a field of the review; without the alignment its lists are lost too."""
    lost = 1 - parts(changed_review=changed)["schema"]
    assert lost == pytest.approx(n_lost * CHECK, abs=1e-12)


@pytest.mark.parametrize(
    ("changed", "points"),
    [
        ({"target_users": ["one"]}, 27),
        ({"target_users": []}, 24),
        ({"product_summary": "x" * 120}, 30),
        ({"product_summary": "x" * 119}, 27),
        ({"product_summary": "x" * 60}, 27),
        ({"product_summary": "x" * 59}, 24),
        ({"non_goals": []}, 30),
    ],
)
def test_completeness_counts_entries_and_characters(
    changed: dict[str, Any], points: float
) -> None:
    """6 points for two entries or 120 characters, 3 for one or 60."""
    assert parts(changed)["completeness"] == pytest.approx(points / 30, abs=1e-12)


NOTHING_LISTED = {"gaps": [], "conflicts": []}  # 4 of 12 points: the cap is out of play


@pytest.mark.parametrize(
    ("changed", "points"),
    [
        ({}, 28),
        ({"summary": ["one"]}, 25),
        ({"recommended_actions": ["one"]}, 22),
        ({"recommended_actions": []}, 16),
        ({"gaps": None}, 26),
        ({"gaps": ["one"]}, 30),
        ({"narrative": "x" * 159}, 25),
        ({"narrative": "x" * 79}, 22),
    ],
)
def test_specificity_counts_what_is_named(
    changed: dict[str, Any], points: float
) -> None:
    """Entries, actions, gaps, conflicts and narrative, at most 30 points."""
    changed = {**NOTHING_LISTED, **changed}
    value = parts(changed_review=changed)["specificity"]
    assert value == pytest.approx(points / 30, abs=1e-12)


@pytest.mark.parametrize(
    ("coverage", "points"),
    [
        (1.0, 22),
        (0.85, 22),
        (0.775, 19),
        (0.7, 16),
        (0.6, 12),
        (0.5, 8),
        (0.4, 3.2),
        (0, 0),
    ],
)
def test_coverage_points(coverage: float, points: float) -> None:
    """22 points from 0.85, linear below, with the step at 0.5 that it has."""
    assert coverage_points(coverage) == pytest.approx(points, abs=1e-9)


def silent(**changed: Any) -> dict[str, Any]:
    """Changes that leave a review without a word about any requirement."""
    return {
        "summary": ["."],
        "aligned": [],
        "gaps": [],
        "conflicts": [],
        "recommended_actions": ["."],
        "narrative": ".",
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "points"),
    [
        ({}, 0),
        ({"summary": ["fr001 is fine"]}, 8 * 0.25),
        ({"narrative": "FR001, FR002: no. NFR001 yes"}, 16 + 6 * (0.75 - 0.7) / 0.15),
        ({"summary": ["NFR001 stands here, its namesake does not"]}, 8 * 0.25),
        ({"aligned": ["FR001", "FR002"]}, 8 + 8 * 0.5),
        ({"gaps": ["Neighbors offer tools"]}, 8 * 0.25 + 3),
        ({"gaps": ["Neighbors", "offer"]}, 3),
        ({"conflicts": ["x"]}, 3),
    ],
)
def test_alignment_counts_what_is_spoken_of(
    changed: dict[str, Any], points: float
) -> None:
    """A requirement counts by its whole id, or by 30 % of its words in one entry."""
    value = parts(changed_review=silent(**changed))["alignment"]
    assert value == pytest.approx(points / 30, abs=1e-12)


def test_no_requirements_no_alignment() -> None:
    """Without requirements nothing can be aligned."""
    assert parts(requirements="title: x")["alignment"] == 0.0


def test_words_are_runs_of_letters_and_digits() -> None:
    """Accents belong to letters, case does not count, stop words are left out."""
    assert words_of("Los Niños y el API: 3 fotos_nuevas") == {
        "niños",
        "y",
        "el",
        "3",
        "fotos",
        "nuevas",
    }


def test_feedback_names_each_lost_check() -> None:
    """Each lost point has its sentence, and a full part has none."""
    schema, completeness, *others = judge_by_rubric(
        Requirements.from_yaml(REQUIREMENTS),
        vision(target_users=["one"]),
        review(status="fine"),
    )
    said = ("status is none of aligned, needs_adjustment, misaligned",)
    assert schema.feedback == said
    assert completeness.feedback == ("entries: target_users has 1, all points from 2",)
    assert not any(part.feedback for part in others)


def test_references_earn_nearly_all() -> None:
    """The 180 references score 0.983 to 1.0: the ceiling, as their README says."""
    values = [
        score_outputs(
            record["input"]["requirements_yaml"],
            record["output"]["product_vision"],
            record["output"]["product_owner_review"],
        )
        for record in raw_records()
    ]
    assert min(values) == pytest.approx(118 / 120, abs=1e-9)
    assert sum(values) / len(values) == pytest.approx(0.99981, abs=1e-5)
    assert max(values) == 1.0
