"""What makes one doubt a vision and a review, without a reference to compare them with.

These are the marks of an LM that was not up to its task: ids that nobody gave, one
sentence in several fields, another product, another language, a status that its own
lists contradict, no finding at all. What is merely poor work passes: only a person sees
it.
"""

import re
from collections.abc import Iterator

from po_optimizer.errors import listed
from po_optimizer.product_owner.language import language_of
from po_optimizer.product_owner.metric.coherence import contradiction_of
from po_optimizer.product_owner.metric.judgement import shared_words, vision_texts
from po_optimizer.product_owner.metric.outputs import Fields
from po_optimizer.product_owner.metric.reasons import content_of
from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.metric.rubric import VISION_LISTS, WORD, review_entries
from po_optimizer.product_owner.schema import (
    ProductOwnerReview,
    ProductVision,
    Requirements,
)

# Share of the vision's longer words that concept and requirements have, too. Measured
# on our data: the references 0.23 or more, 95 % of other products' ones less than 0.15.
MIN_SHARED = 0.15
MIN_SHARED_WITH_CONCEPT = 0.04  # where there is no requirement: 0.06 or more, 84 %
MANY = 8  # requirements, of which a careful Product Owner finds one that is not done
MIN_WORDS = 4  # of a sentence: "Members" may stand in two fields
_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n")


def doubts_about(
    concept: str,
    requirements: Requirements,
    vision: ProductVision,
    review: ProductOwnerReview,
) -> list[str]:
    """A sentence for each reason to distrust the documents; none is no proof."""
    written: Fields = vision.model_dump()
    reviewed: Fields = review.model_dump()
    entries = review_entries(reviewed)
    return [
        *_invented_ids(requirements, entries),
        *_repetitions({**_texts(written), **_texts(reviewed)}),
        *_other_product(concept, requirements, written, entries),
        *_contradiction(reviewed),
        *_nothing_said(requirements, written, reviewed),
        *_other_language(concept, requirements, [*vision_texts(written), *entries]),
    ]


def _invented_ids(requirements: Requirements, entries: list[str]) -> Iterator[str]:
    invented = RequirementIds(requirements).invented_in(entries)
    if invented:
        yield f"No requirement is called {listed(sorted(invented))}."


def _texts(document: Fields, prefix: str = "") -> dict[str, str]:
    """A document's texts by the field that they stand in."""
    texts: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            texts |= _texts(value, f"{name}.")
        elif isinstance(value, list):
            numbered = enumerate(value)
            texts |= {f"{prefix}{name}[{n}]": str(entry) for n, entry in numbered}
        else:
            texts[f"{prefix}{name}"] = str(value)
    return texts


def _repetitions(texts: dict[str, str]) -> Iterator[str]:
    places: dict[str, list[str]] = {}
    wording: dict[str, str] = {}
    for field, text in texts.items():
        if field == "product_name":
            continue  # the summary may begin with it
        for sentence in _SENTENCE_END.split(text):
            words = WORD.findall(sentence.lower())
            if len(words) >= MIN_WORDS:
                key = " ".join(words)
                places.setdefault(key, []).append(field)
                wording.setdefault(key, sentence.strip())
    for key, fields in places.items():
        if len(fields) > 1:
            where = listed(dict.fromkeys(fields))
            yield f"One sentence stands {len(fields)} times ({where}): {wording[key]}"


def _other_product(
    concept: str, requirements: Requirements, vision: Fields, entries: list[str]
) -> Iterator[str]:
    sources = [concept, *requirements.texts]
    share = shared_words(vision_texts(vision), sources)
    if share < (MIN_SHARED if requirements.every else MIN_SHARED_WITH_CONCEPT):
        yield (
            f"Only {share:.0%} of the vision's words stand in concept or requirements: "
            "it may be about another product."
        )
    if not content_of(sources) & content_of(entries):
        yield "The review has no word in common with concept or requirements."


def _contradiction(review: Fields) -> Iterator[str]:
    if contradiction := contradiction_of(review):
        yield f"The status is {review['status']}, but {contradiction}."


def _nothing_said(
    requirements: Requirements, vision: Fields, review: Fields
) -> Iterator[str]:
    if empty := [name for name in VISION_LISTS if not vision[name]]:
        yield f"The vision has no {listed(empty)}."
    alignment = review["requirements_alignment"]
    bare = [entry for entry in alignment["aligned"] if len(entry.split()) == 1]
    if bare:
        yield f"No reason is given for calling {listed(bare)} aligned."
    n_required = len(requirements.every)
    if n_required >= MANY and not (alignment["gaps"] or alignment["conflicts"]):
        yield (
            f"No gap and no conflict is named in {n_required} requirements: they may "
            "not have been judged."
        )


def _other_language(
    concept: str, requirements: Requirements, texts: list[str]
) -> Iterator[str]:
    asked = language_of([concept]) or language_of(requirements.texts)
    written = language_of(texts)
    if asked and written and asked != written:
        yield f"The concept is in {asked}, the documents are in {written}."
