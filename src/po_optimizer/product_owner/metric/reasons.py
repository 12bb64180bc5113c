"""Whether an entry gives a reason for the requirement that it names.

Words are compared, nothing is understood: an entry speaks of a requirement if it
shares words with it, and of what is wrong with it if it shares words with what the
reference says of it. The reference itself does so wholly.
"""

import functools
from collections.abc import Iterable, Sequence
from math import fsum

from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.metric.rubric import words_of

MIN_LETTERS = 4  # shorter words say little
STEM_LETTERS = 5
ENOUGH_WORDS = 3  # shared ones; one of one is enough too
ENOUGH_SHARE = 0.25  # of the entry's words: a heap of words speaks of everything
ONE_SIDE_ONLY = 0.5  # speaks of the requirement, not of what is wrong with it
REPEATED = 0.7  # share of two entries' words from which one repeats the other


def _stem(word: str) -> str:
    """Its beginning, without the plural: loan and loans, confirm and confirmed meet."""
    return word.rstrip("s")[:STEM_LETTERS]


_EVERY_REVIEW_SAYS = """
    requirement requires conflict contradicts contradiction against missing
    constraint nothing nobody request concept wish vision product review states
    covers named says cannot because needs unclear defined specified requisito
    requiere conflicto contradice contra falta restricción petición concepto
    visión producto nadie nada ningún dice define puede pide necesita porque
    aclara indica
"""
_EVERY_LANGUAGE_SAYS = """
    about after also although before been being could does each even every from
    have into just less make many more most much must need only other over same
    should some still such than that their them then there these they this those
    through under until very were what when where which while will within without
    would aquel aunque cada como cual cuando debe desde donde durante ella entre
    esta este esto estos estas hace hasta mientras mismo otra otro pero quien
    según sobre solo también tiene toda todas todo todos
"""
_SAYS_NOTHING = frozenset(
    map(_stem, (_EVERY_REVIEW_SAYS + _EVERY_LANGUAGE_SAYS).split())
)

Words = frozenset[str]


class Reasons:
    """Tells how far entries of a list give a reason for the requirements they name.

    Args:
        ids: Finds the requirements that an entry names, and their descriptions.
        reference: The entries of the reference's list.
    """

    def __init__(self, ids: RequirementIds, reference: Sequence[str]) -> None:
        self._ids = ids
        self._described = {
            name: content_words(text) for name, text in ids.descriptions.items()
        }
        self._referenced: dict[str, list[Words]] = {
            name: [] for name in self._described
        }
        self._related: dict[str, Words] = dict.fromkeys(self._described, Words())
        for entry in reference:
            named, words = ids.named_in([entry]), content_words(entry)
            theirs = Words().union(*(self._described[name] for name in named))
            for name in named:
                self._referenced[name].append(words)
                self._related[name] |= theirs - self._described[name]

    def relevance(self, entry: str, matter: Words) -> float:
        """How far an entry speaks of what it names, in [0, 1].

        Args:
            entry: Of the list.
            matter: What an entry that names nothing must speak of.
        """
        words = content_words(entry)
        named = self._ids.named_in([entry])
        subjects = [self._subject(name) for name in named] or [matter]
        return fsum(speaks(words, subject) for subject in subjects) / len(subjects)

    def support(self, entry: str, name: str) -> float:
        """How far an entry that names a requirement gives a reason, in [0, 1]."""
        words = content_words(entry)
        spoken = speaks(words, self._subject(name))
        own = self._described[name]
        if words & (self._subject(name) - own) or any(
            said <= own for said in self._referenced[name]
        ):
            return spoken
        return ONE_SIDE_ONLY * spoken

    def _subject(self, name: str) -> Words:
        """The requirement's own words, and those of what the reference sees in it."""
        return self._described[name].union(*self._referenced[name], self._related[name])

    def supported(self, entries: Sequence[str]) -> dict[str, float]:
        """The requirements that the entries name, each with its best reason."""
        repeated = repetitions(entries)
        best: dict[str, float] = {}
        for place, entry in enumerate(entries):
            for name in self._ids.named_in([entry]):
                support = 0.0 if place in repeated else self.support(entry, name)
                best[name] = max(best.get(name, 0.0), support)
        return best


def speaks(words: Words, subject: Words) -> float:
    """How far words speak of a subject, in [0, 1]; of none: not at all."""
    shared = len(words & subject)
    enough = min(1.0, shared / max(1, min(ENOUGH_WORDS, len(words))))
    return enough * min(1.0, shared / max(1, len(words)) / ENOUGH_SHARE)


def repetitions(entries: Sequence[str]) -> frozenset[int]:
    """The places of entries that say what another one says, but for the ids."""
    said = [content_words(entry) for entry in entries]
    return frozenset(
        place
        for place, words in enumerate(said)
        for other, others in enumerate(said)
        if place != other and _alike(words, others)
    )


def _alike(words: Words, others: Words) -> bool:
    return len(words & others) >= REPEATED * max(1, len(words | others))


# The same requirements and references are read at each scoring.
@functools.lru_cache(maxsize=16_384)
def content_words(text: str) -> Words:
    """The beginnings of a text's longer words, without ids and what says nothing."""
    return (
        frozenset(
            word[:STEM_LETTERS]
            for word in words_of(text)
            if len(word) >= MIN_LETTERS and not any(map(str.isdigit, word))
        )
        - _SAYS_NOTHING
    )


def content_of(texts: Iterable[str]) -> Words:
    """The content words of several texts."""
    return frozenset().union(*map(content_words, texts))
