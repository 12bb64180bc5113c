"""The judgement: is the answer right, as far as the reference can tell.

Seven components in [0, 1], higher is better, for what the rubric cannot see: a
well-formed answer copied from another product or from its own input earns little here.
"""

from collections.abc import Iterable, Iterator
from math import fsum

from po_optimizer.product_owner.metric.coherence import (
    Coherence,
    coherence_of,
    contradiction_of,
)
from po_optimizer.product_owner.metric.outputs import (
    Fields,
    alignment_of,
    entries_of,
    text_of,
)
from po_optimizer.product_owner.metric.prose import (
    copied_share,
    own_words,
    written_share,
)
from po_optimizer.product_owner.metric.reasons import (
    Reasons,
    content_of,
    content_words,
    speaks,
)
from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.metric.rubric import (
    VISION_LISTS,
    Component,
    review_entries,
    words_of,
)
from po_optimizer.product_owner.schema import (
    STATUSES,
    ProductOwnerReview,
    Requirements,
)

JUDGED_NAMES = (
    "verdict",
    "conflicts",
    "gaps",
    "ids",
    "consistency",
    "grounding",
    "coherence",
)
# Always answering needs_adjustment then earns 0.58 on our data, and 0.72 with 0.5.
ONE_STEP_OFF = 0.25
# Share of the vision's longer words that stand in the requirements. Measured on our
# data: the references 0.23-0.56, references of other products 0.00-0.19.
UNGROUNDED, GROUNDED = 0.10, 0.25
MIN_WORD_LENGTH = 5  # shorter ones say little about the product
STEM_LENGTH = 6  # so that loan and loans, member and membership meet


def judge_by_reference(
    requirements: Requirements,
    vision: Fields,
    review: Fields,
    reference: ProductOwnerReview,
) -> tuple[Component, ...]:
    """The components in the order of `JUDGED_NAMES`."""
    ids = RequirementIds(requirements)
    coherence = coherence_of(ids, requirements, review, reference)
    return (
        _verdict(review, reference, coherence),
        *(
            _named(name, ids, review, reference, written=coherence.written)
            for name in ("conflicts", "gaps")
        ),
        _existing_ids(ids, requirements, review),
        _consistency(review, coherence),
        _grounding(requirements, vision),
        Component("coherence", coherence.value, coherence.feedback),
    )


def _verdict(
    review: Fields, reference: ProductOwnerReview, coherence: Coherence
) -> Component:
    """Whether the status is right; without reasons it is a guess, and counts half."""
    status = text_of(review.get("status"))
    missed = []
    steps = 0
    if status != reference.status:
        wanted = f"the reference says {reference.status}"
        missed.append(f"status is {status or 'missing'}, {wanted}")
        if status not in STATUSES:
            return Component("verdict", 0.0, tuple(missed))
        steps = abs(STATUSES.index(status) - STATUSES.index(reference.status))
    if coherence.reasoned < 1.0:
        missed.append("gaps and conflicts do not give the reasons for the status")
    value = (1.0, ONE_STEP_OFF, 0.0)[steps]
    return Component("verdict", value * (1 + coherence.reasoned) / 2, tuple(missed))


def _named(
    name: str,
    ids: RequirementIds,
    review: Fields,
    reference: ProductOwnerReview,
    *,
    written: float,
) -> Component:
    """F1 of the ids named with a reason in one list, corrected for chance."""
    entries = entries_of(alignment_of(review).get(name))
    expected_entries: list[str] = getattr(reference.requirements_alignment, name)
    expected = ids.named_in(expected_entries)
    if not expected:
        return _without_ids(name, entries, expected_entries)
    reasons = Reasons(ids, expected_entries).supported(entries)
    named = frozenset(reasons) | ids.invented_in(entries)
    hits = written * fsum(reasons.get(named_id, 0.0) for named_id in expected)
    value = _above_chance(hits, len(reasons), len(named), len(expected), len(ids))
    missed = [
        f'{ids.described(lost)} not named; the reference: "{entry}"'
        for entry in expected_entries
        if (lost := ids.named_in([entry]) - named)
    ]
    if surplus := named - expected:
        missed.append(f"{ids.described(surplus)} named, not so in the reference")
    if weak := [named_id for named_id in expected & named if reasons[named_id] < 1.0]:
        missed.append(
            f"{ids.described(weak)} named, but the entry says too little of it and of "
            "what is wrong with it"
        )
    return Component(name, value, tuple(missed))


def _above_chance(
    hits: float, n_existing: int, n_named: int, n_expected: int, n_ids: int
) -> float:
    """F1 on a scale where naming as many requirements at random is 0, right is 1.

    Naming every requirement finds what there is to find without having looked.

    References:
        Albatineh, A. N., Niewiadomska-Bugaj, M. & Mihalko, D. (2006). On similarity
            indices and correction for chance agreement. Journal of Classification 23.
    """
    size = n_named + n_expected
    f1 = 2 * hits / size
    by_chance = 2 * n_existing * n_expected / n_ids / size
    if n_expected == n_ids:  # every requirement is to be named: nothing by chance
        return f1
    return max(0.0, (f1 - by_chance) / (1.0 - by_chance))


def _without_ids(name: str, entries: list[str], expected: list[str]) -> Component:
    """The reference names no id: whether there is anything, and of the same matter."""
    if not entries and not expected:
        return Component(name, 1.0)
    if not expected:
        return Component(name, 0.0, (f"{len(entries)} listed, the reference has none",))
    if not entries:
        return Component(name, 0.0, (f'none listed; the reference: "{expected[0]}"',))
    matter = content_of(expected)
    value = max(speaks(content_words(entry), matter) for entry in entries)
    missed = f'what is listed is beside the reference\'s: "{expected[0]}"'
    return Component(name, value, () if value == 1.0 else (missed,))


def _existing_ids(
    ids: RequirementIds, requirements: Requirements, review: Fields
) -> Component:
    """The share of the cited ids that exist; nothing cited is nothing traceable."""
    entries = review_entries(review)
    named, invented = ids.named_in(entries), ids.invented_in(entries)
    if not named and not invented:
        if not requirements.every:
            return Component("ids", 1.0)
        return Component("ids", 0.0, ("no requirement is cited by its id",))
    value = len(named) / (len(named) + len(invented))
    missed = (f"no requirement is called {', '.join(sorted(invented))}",)
    return Component("ids", value, missed if invented else ())


def _consistency(review: Fields, coherence: Coherence) -> Component:
    """Whether the status follows from what the review lists and gives reasons for."""
    status = text_of(review.get("status"))
    contradiction = contradiction_of(review)
    if not contradiction:
        weak = "what gaps and conflicts list is not a reason for the status"
        value = coherence.reasoned
        return Component("consistency", value, () if value == 1.0 else (weak,))
    missed = f"status is {status or 'missing'}, but {contradiction}"
    return Component("consistency", 0.0, (missed,))


def _grounding(requirements: Requirements, vision: Fields) -> Component:
    """Whether the vision is about the requirements' product, in words of its own."""
    texts, sources = list(vision_texts(vision)), requirements.texts
    share = shared_words(texts, sources)
    value = min(1.0, max(0.0, (share - UNGROUNDED) / (GROUNDED - UNGROUNDED)))
    missed = []
    if value < 1.0:
        missed.append(
            f"{share:.0%} of the vision's words stand in the requirements,"
            f" {GROUNDED:.0%} earn all points: is it about this product, in its"
            " language?"
        )
    copied = copied_share(texts, sources)
    if (own := own_words(copied)) < 1.0:
        missed.append(f"{copied:.0%} of the vision is copied from the requirements")
    if (written := written_share(texts)) < 1.0:
        missed.append("the vision is not written in sentences")
    return Component("grounding", value * own * written, tuple(missed))


def shared_words(texts: Iterable[str], sources: Iterable[str]) -> float:
    """The share of the texts' longer words that a source has, too, in [0, 1]."""
    said = _stems(texts)
    return len(said & _stems(sources)) / max(1, len(said))


def vision_texts(vision: Fields) -> Iterator[str]:
    """What a vision says: its summary and the entries of its lists."""
    yield text_of(vision.get("product_summary"))
    for name in (*VISION_LISTS, "non_goals"):
        yield from entries_of(vision.get(name))


def _stems(texts: Iterable[str]) -> frozenset[str]:
    words = (word for text in texts for word in words_of(text))
    return frozenset(
        word[:STEM_LENGTH] for word in words if len(word) >= MIN_WORD_LENGTH
    )
