"""The rubric: is the output well-formed, complete, on its requirements, specific.

Four parts of 30 points each, higher is better. The rubric sees form, not judgement:
a well-formed answer about another product can earn nearly all of it.

References:
    The original project's target of 0.88 is stated in this rubric; every constant
    is from the project's design, "The metric".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from po_optimizer.product_owner.metric.outputs import (
    Fields,
    alignment_of,
    entries_of,
    text_of,
)
from po_optimizer.product_owner.schema import (
    STATUSES,
    Requirement,
    Requirements,
    is_iso_8601,
)

PART_NAMES = ("schema", "completeness", "alignment", "specificity")
PART_POINTS = 30.0
VISION_LISTS = (
    "target_users",
    "value_proposition",
    "key_capabilities",
    "success_metrics",
)
ALIGNMENT_LISTS = ("aligned", "gaps", "conflicts")
MIN_TEXT = 40  # characters of product_summary and narrative
MIN_WORD_SHARE = 0.3  # of a description's words, in one entry of the review
# Share of requirements spoken of: from here on, points here, points per unit above.
COVERAGE_SCALE = (
    (0.85, 22.0, 0.0),
    (0.7, 16.0, (22.0 - 16.0) / 0.15),
    (0.5, 8.0, (16.0 - 8.0) / 0.2),
    (0.0, 0.0, 8.0),
)
_STOP_WORDS = """
    the and with para con los las una unos unas user users system systems api apis rest
    crud
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Component:
    """A named part of the score, in [0, 1], and why it is not 1.0."""

    name: str
    value: float
    feedback: tuple[str, ...] = ()


@dataclass(frozen=True)
class RubricItem:
    """Points earned of those possible; what is missing when some are lost."""

    earned: float
    possible: float
    missing: str


def judge_by_rubric(
    requirements: Requirements, vision: Fields, review: Fields
) -> tuple[Component, ...]:
    """The four parts of two readable outputs; their mean is the total over 120."""
    items = {
        "schema": (*_vision_schema(vision), *_review_schema(review)),
        "completeness": tuple(_completeness(vision)),
        "alignment": tuple(_alignment(requirements, review)),
        "specificity": tuple(_specificity(review)),
    }
    return tuple(_part(name, items[name]) for name in PART_NAMES)


def _part(name: str, items: tuple[RubricItem, ...]) -> Component:
    """The share of a part's 30 points; a full part has lost none."""
    value = min(PART_POINTS, sum(item.earned for item in items)) / PART_POINTS
    lost = (item.missing for item in items if item.earned < item.possible)
    return Component(name, value, tuple(lost) if value < 1.0 else ())


def _schema_item(passed: bool, missing: str) -> RubricItem:
    points = PART_POINTS / 16
    return RubricItem(points if passed else 0.0, points, missing)


def _vision_schema(vision: Fields) -> Iterable[RubricItem]:
    yield _schema_item(bool(text_of(vision.get("product_name"))), "no product_name")
    yield _schema_item(
        len(text_of(vision.get("product_summary"))) >= MIN_TEXT,
        f"product_summary is shorter than {MIN_TEXT} characters",
    )
    for name in VISION_LISTS:
        filled = bool(entries_of(vision.get(name)))
        yield _schema_item(filled, f"{name} is not a list with an entry")
    is_list = isinstance(vision.get("non_goals"), list | tuple)
    yield _schema_item(is_list, "non_goals is not a list")
    updated = text_of(vision.get("last_updated"))
    yield _schema_item(is_iso_8601(updated), "last_updated is not ISO 8601")


def _review_schema(review: Fields) -> Iterable[RubricItem]:
    status = review.get("status")
    is_status = isinstance(status, str) and status in STATUSES
    yield _schema_item(is_status, f"status is none of {', '.join(STATUSES)}")
    filled = bool(entries_of(review.get("summary")))
    yield _schema_item(filled, "summary is not a list with an entry")
    alignment = review.get("requirements_alignment")
    is_mapping = hasattr(alignment, "keys")
    yield _schema_item(is_mapping, "requirements_alignment is not a mapping")
    for name in ALIGNMENT_LISTS:
        is_list = isinstance(alignment_of(review).get(name), list | tuple)
        yield _schema_item(is_list, f"{name} is not a list")
    filled = bool(entries_of(review.get("recommended_actions")))
    yield _schema_item(filled, "recommended_actions is not a list with an entry")
    yield _schema_item(
        len(text_of(review.get("narrative"))) >= MIN_TEXT,
        f"narrative is shorter than {MIN_TEXT} characters",
    )


def _steps(name: str, size: int, few: int, many: int, points: float) -> RubricItem:
    """All points from `many`, half of them from `few`."""
    earned = points if size >= many else points / 2 if size >= few else 0.0
    return RubricItem(earned, points, f"{name} has {size}, all points from {many}")


def _completeness(vision: Fields) -> Iterable[RubricItem]:
    for name in VISION_LISTS:
        n_entries = len(entries_of(vision.get(name)))
        yield _steps(f"entries: {name}", n_entries, 1, 2, 6.0)
    length = len(text_of(vision.get("product_summary")))
    yield _steps("characters: product_summary", length, 60, 120, 6.0)


def _specificity(review: Fields) -> Iterable[RubricItem]:
    yield _steps("entries: summary", len(entries_of(review.get("summary"))), 1, 2, 6.0)
    n_actions = len(entries_of(review.get("recommended_actions")))
    yield _steps("entries: recommended_actions", n_actions, 1, 2, 12.0)
    for name in ("gaps", "conflicts"):
        value = alignment_of(review).get(name)
        for_none = 2.0 if isinstance(value, list | tuple) else 0.0
        earned = 6.0 if entries_of(value) else for_none
        yield RubricItem(earned, 6.0, f"{name} names nothing")
    length = len(text_of(review.get("narrative")))
    yield _steps("characters: narrative", length, 80, 160, 6.0)


def review_entries(review: Fields) -> list[str]:
    """What the review says, entry by entry; the narrative is the last."""
    alignment = alignment_of(review)
    lists = [review.get("summary"), review.get("recommended_actions")]
    lists += [alignment.get(name) for name in ALIGNMENT_LISTS]
    return [
        *(entry for value in lists for entry in entries_of(value)),
        text_of(review.get("narrative")),
    ]


def _alignment(requirements: Requirements, review: Fields) -> Iterable[RubricItem]:
    every = requirements.every
    if not every:
        yield RubricItem(0.0, PART_POINTS, "there are no requirements to review")
        return
    entries = review_entries(review)
    uncovered = [
        requirement.id for requirement in every if not _is_covered(requirement, entries)
    ]
    earned = coverage_points((len(every) - len(uncovered)) / len(every))
    yield RubricItem(earned, 22.0, f"nothing is said about {', '.join(uncovered)}")
    alignment = alignment_of(review)
    n_aligned = len(entries_of(alignment.get("aligned")))
    share = min(1.0, n_aligned / len(every))
    missing = f"{n_aligned} entries in aligned for {len(every)} requirements"
    yield RubricItem(8.0 * share, 8.0, missing)
    for name in ("gaps", "conflicts"):
        earned = 3.0 if entries_of(alignment.get(name)) else 0.0
        yield RubricItem(earned, 3.0, f"{name} is empty")


def coverage_points(coverage: float) -> float:
    """Points of 22 for the share of requirements spoken of, in [0, 1]."""
    return next(
        points + slope * (coverage - start)
        for start, points, slope in COVERAGE_SCALE
        if coverage >= start
    )


def _is_covered(requirement: Requirement, entries: list[str]) -> bool:
    """Its id stands in the review, or enough of its words in one entry of it."""
    # A whole id: FR001 does not stand in NFR001.
    the_id = rf"(?<![^\W_]){re.escape(requirement.id)}(?![^\W_])"
    if any(re.search(the_id, entry, re.IGNORECASE) for entry in entries):
        return True
    words = words_of(requirement.description)
    return bool(words) and any(
        len(words & words_of(entry)) / len(words) >= MIN_WORD_SHARE for entry in entries
    )


def words_of(text: str) -> frozenset[str]:
    """The distinct words of a text in lower case, without the stop words."""
    return frozenset(WORD.findall(text.lower())) - STOP_WORDS
