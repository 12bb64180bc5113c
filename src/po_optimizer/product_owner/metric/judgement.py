"""The judgement: is the answer right, as far as the reference can tell.

Six components in [0, 1], higher is better, for what the rubric cannot see: a
well-formed answer copied from another product earns little here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from po_optimizer.product_owner.metric.outputs import (
    Fields,
    alignment_of,
    entries_of,
    text_of,
)
from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.metric.rubric import (
    VISION_LISTS,
    review_entries,
    words_of,
)
from po_optimizer.product_owner.schema import (
    STATUSES,
    ProductOwnerReview,
    Requirements,
)

JUDGED_NAMES = ("verdict", "conflicts", "gaps", "ids", "consistency", "grounding")
# Always answering needs_adjustment then earns 0.58 on our data, and 0.72 with 0.5.
ONE_STEP_OFF = 0.25
# Share of the vision's longer words that stand in the requirements. Measured on our
# data: the references 0.23-0.56, references of other products 0.00-0.19.
UNGROUNDED, GROUNDED = 0.10, 0.25
MIN_WORD_LENGTH = 5  # shorter ones say little about the product
STEM_LENGTH = 6  # so that loan and loans, member and membership meet


@dataclass(frozen=True)
class Finding:
    """One component of the judgement, in [0, 1], and why it is not 1.0."""

    name: str
    value: float
    feedback: tuple[str, ...] = ()


def judge_by_reference(
    requirements: Requirements,
    vision: Fields,
    review: Fields,
    reference: ProductOwnerReview,
) -> tuple[Finding, ...]:
    """The six findings: verdict, conflicts, gaps, ids, consistency, grounding."""
    ids = RequirementIds(requirements)
    return (
        _verdict(review, reference),
        _named("conflicts", ids, review, reference),
        _named("gaps", ids, review, reference),
        _existing_ids(ids, requirements, review),
        _consistency(review),
        _grounding(requirements, vision),
    )


def _verdict(review: Fields, reference: ProductOwnerReview) -> Finding:
    status = text_of(review.get("status"))
    if status == reference.status:
        return Finding("verdict", 1.0)
    missed = f"status is {status or 'missing'}, the reference says {reference.status}"
    if status not in STATUSES:
        return Finding("verdict", 0.0, (missed,))
    steps = abs(STATUSES.index(status) - STATUSES.index(reference.status))
    return Finding("verdict", ONE_STEP_OFF if steps == 1 else 0.0, (missed,))


def _named(
    name: str, ids: RequirementIds, review: Fields, reference: ProductOwnerReview
) -> Finding:
    """F1 of the ids named in one list against the reference's."""
    entries = entries_of(alignment_of(review).get(name))
    expected_entries: list[str] = getattr(reference.requirements_alignment, name)
    expected = ids.named_in(expected_entries)
    if not expected:
        return _without_ids(name, entries, expected_entries)
    named = ids.named_in(entries) | ids.invented_in(entries)
    f1 = 2 * len(named & expected) / (len(named) + len(expected))
    missed = [
        f'{ids.described(lost)} not named; the reference: "{entry}"'
        for entry in expected_entries
        if (lost := ids.named_in([entry]) - named)
    ]
    if surplus := named - expected:
        missed.append(f"{ids.described(surplus)} named, not so in the reference")
    return Finding(name, f1, tuple(missed))


def _without_ids(name: str, entries: list[str], expected: list[str]) -> Finding:
    """The reference names no id: all that can be told is whether there is anything."""
    if bool(entries) == bool(expected):
        return Finding(name, 1.0)
    if entries:
        return Finding(name, 0.0, (f"{len(entries)} listed, the reference has none",))
    return Finding(name, 0.0, (f'none listed; the reference: "{expected[0]}"',))


def _existing_ids(
    ids: RequirementIds, requirements: Requirements, review: Fields
) -> Finding:
    """The share of the cited ids that exist; nothing cited is nothing traceable."""
    entries = review_entries(review)
    named, invented = ids.named_in(entries), ids.invented_in(entries)
    if not named and not invented:
        if not requirements.every:
            return Finding("ids", 1.0)
        return Finding("ids", 0.0, ("no requirement is cited by its id",))
    value = len(named) / (len(named) + len(invented))
    missed = (f"no requirement is called {', '.join(sorted(invented))}",)
    return Finding("ids", value, missed if invented else ())


def _consistency(review: Fields) -> Finding:
    """Whether the status follows from what the review itself lists."""
    status = text_of(review.get("status"))
    alignment = alignment_of(review)
    conflicts = entries_of(alignment.get("conflicts"))
    gaps = entries_of(alignment.get("gaps"))
    contradiction = {
        "aligned": "conflicts are listed" if conflicts else "",
        "needs_adjustment": "" if conflicts or gaps else "no gap or conflict is listed",
        "misaligned": "" if conflicts else "no conflict is listed",
    }.get(status, "that is no status")
    if not contradiction:
        return Finding("consistency", 1.0)
    missed = f"status is {status or 'missing'}, but {contradiction}"
    return Finding("consistency", 0.0, (missed,))


def _grounding(requirements: Requirements, vision: Fields) -> Finding:
    """Whether the vision is about the product that the requirements are about."""
    said = _stems(_vision_texts(vision))
    share = len(said & _stems(_requirement_texts(requirements))) / max(1, len(said))
    value = min(1.0, max(0.0, (share - UNGROUNDED) / (GROUNDED - UNGROUNDED)))
    missed = (
        f"{share:.0%} of the vision's words stand in the requirements, {GROUNDED:.0%}"
        " earn all points: is it about this product, in its language?"
    )
    return Finding("grounding", value, () if value == 1.0 else (missed,))


def _vision_texts(vision: Fields) -> Iterator[str]:
    yield text_of(vision.get("product_summary"))
    for name in (*VISION_LISTS, "non_goals"):
        yield from entries_of(vision.get(name))


def _requirement_texts(requirements: Requirements) -> Iterator[str]:
    yield requirements.meta.original_request or ""
    yield requirements.title
    yield requirements.description
    for requirement in requirements.every:
        yield requirement.description


def _stems(texts: Iterator[str]) -> frozenset[str]:
    words = (word for text in texts for word in words_of(text))
    return frozenset(
        word[:STEM_LENGTH] for word in words if len(word) >= MIN_WORD_LENGTH
    )
