"""Whether a review speaks of what it names, once, in sentences of its own."""

import math
from dataclasses import dataclass
from statistics import fmean

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
    repetitions,
    speaks,
)
from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.schema import ProductOwnerReview, Requirements

REASONED = ("gaps", "conflicts")  # lists that name requirements for a reason


@dataclass(frozen=True)
class Coherence:
    """How a review is written; every share in [0, 1], higher is better.

    Args:
        reasons: Each entry of gaps and conflicts: does it speak of what it names.
        around: Each entry of summary and actions, and the narrative, if it says
            anything: does it speak of the product.
        written: Sentences, not shuffled words or keywords; the less of both parts.
        copied: The share of what surrounds the reasons that the requirements say.
    """

    reasons: tuple[float, ...]
    around: tuple[float, ...]
    written: float
    copied: float

    @property
    def reasoned(self) -> float:
        """How far gaps and conflicts are reasons; without any, the rest is."""
        return self.written * _mean(self.reasons or self.around)

    @property
    def value(self) -> float:
        """The component: reasons and the rest do not make up for each other."""
        both = math.sqrt(_mean(self.reasons or self.around) * _mean(self.around))
        return self.written * own_words(self.copied) * both

    @property
    def feedback(self) -> tuple[str, ...]:
        """Why the value is not 1.0."""
        said = [*self.reasons, *self.around]
        weak = sum(share < 1.0 for share in said)
        missed = {
            f"{weak} of {len(said)} entries repeat another, or say too little of the "
            "requirement that they name or of the product": weak,
            "it is not written in sentences": self.written < 1.0,
            f"{self.copied:.0%} of summary, actions and narrative is copied from the "
            "requirements": own_words(self.copied) < 1.0,
        }
        return tuple(sentence for sentence, applies in missed.items() if applies)


def coherence_of(
    ids: RequirementIds,
    requirements: Requirements,
    review: Fields,
    reference: ProductOwnerReview,
) -> Coherence:
    """How a review is written, held against its requirements and the reference."""
    sources = requirements.texts
    theirs, theirs_around = _texts(reference.model_dump())
    subjects = Reasons(ids, theirs)
    matter = content_of([*sources, *theirs, *theirs_around])
    entries, around = _texts(review)
    repeated = repetitions(entries)
    return Coherence(
        reasons=tuple(
            0.0 if place in repeated else subjects.relevance(entry, matter)
            for place, entry in enumerate(entries)
        ),
        around=tuple(
            speaks(words, matter) for words in map(content_words, around) if words
        ),
        written=min(written_share(entries), written_share(around)),
        copied=copied_share(around, sources),
    )


def contradiction_of(review: Fields) -> str:
    """What in the lists contradicts the status; "" if nothing does."""
    alignment = alignment_of(review)
    conflicts = entries_of(alignment.get("conflicts"))
    gaps = entries_of(alignment.get("gaps"))
    return {
        "aligned": "conflicts are listed" if conflicts else "",
        "needs_adjustment": "" if conflicts or gaps else "no gap or conflict is listed",
        "misaligned": "" if conflicts else "no conflict is listed",
    }.get(text_of(review.get("status")), "that is no status")


def _texts(review: Fields) -> tuple[list[str], list[str]]:
    """Entries of gaps and conflicts, and what the review says besides its lists."""
    alignment = alignment_of(review)
    entries = [text for name in REASONED for text in entries_of(alignment.get(name))]
    lists = [review.get("summary"), review.get("recommended_actions")]
    around = [text for value in lists for text in entries_of(value)]
    narrative = text_of(review.get("narrative"))
    return entries, [*around, narrative] if narrative else around


def _mean(shares: tuple[float, ...]) -> float:
    return fmean(shares) if shares else 0.0
