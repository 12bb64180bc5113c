"""Whether a text is written: its own words, in an order that a language has.

Nothing here understands a text. It tells what cheap answers do: copy their input,
shuffle words, pile up keywords.
"""

import functools
import itertools
import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:[-'\u2019][^\W_]+)*")  # it's, by-laws: one word
COPIED_WORDS = 4  # in a row
# Share of copied rows of words. Measured on our data: the references at most 0.06.
SOME_COPIED, ALL_COPIED = 0.15, 0.30
# Share of articles, or of prepositions that stand so, before a word that follows none.
# Measured on our data: the references at most 0.10, most texts shuffled above 0.25.
SOME_SHUFFLED, ALL_SHUFFLED = 0.10, 0.25
MIN_LINKING = 2  # fewer say nothing
# Share of words of up to 3 letters. The references have 0.24 or more.
KEYWORDS_ONLY, SENTENCES = 0.03, 0.10
MIN_WORDS = 12  # fewer say nothing
SHORT = 3  # letters
_ENGLISH, _SPANISH = "a an the", "al del el la las los un una unas unos"
_ARTICLES = frozenset(f"{_ENGLISH} {_SPANISH}".split())
_NEVER_AFTER = {
    _ENGLISH: """
        a an the and are as at be because but by can for from has have if in into
        is its may must of on or should so than that their these they this to was
        were when where which while will with would
    """,
    "of with for at into": """
        and are but can cannot has have is may must of should than was were will
        would
    """,
    _SPANISH: """
        al del el la las los un una unas unos a como con cuando en es hay lo ni o
        para pero por se si sin son su sus y
    """,
    "de con para por sin en": "al de del es hay pero son y",
}
_NEVER_NEXT = {
    word: frozenset(words.split())
    for before, words in _NEVER_AFTER.items()
    for word in before.split()
}


def written_share(texts: Iterable[str]) -> float:
    """1.0 for sentences, 0.0 for shuffled words or keywords; in [0, 1].

    Articles and prepositions are looked at in English and Spanish; in another
    language only the share of short words, which every language with spaces has.
    """
    sentences = [_words(text) for text in texts]
    return min(_in_order(sentences), _with_small_words(sentences))


def copied_share(texts: Iterable[str], sources: Iterable[str]) -> float:
    """The share of the texts' rows of four words that stand in a source, in [0, 1]."""
    theirs = {row for source in sources for row in _rows(source)}
    own = [row for text in texts for row in _rows(text)]
    return sum(row in theirs for row in own) / max(1, len(own))


def own_words(copied: float) -> float:
    """What a copied share leaves: 1.0 up to 15 %, 0.0 from 30 %; in [0, 1]."""
    return _falling(copied, SOME_COPIED, ALL_COPIED)


def _in_order(sentences: list[list[str]]) -> float:
    # Prepositions count where they are wrong only: they are more, and err less.
    wrong = n_linking = 0
    for words in sentences:
        for word, following in itertools.pairwise(words):
            misplaced = following in _NEVER_NEXT.get(word, ())
            n_linking += misplaced or word in _ARTICLES
            wrong += misplaced
    if n_linking < MIN_LINKING:
        return 1.0
    return _falling(wrong / n_linking, SOME_SHUFFLED, ALL_SHUFFLED)


def _with_small_words(sentences: list[list[str]]) -> float:
    words = [word for sentence in sentences for word in sentence]
    if len(words) < MIN_WORDS:
        return 1.0
    share = sum(len(word) <= SHORT for word in words) / len(words)
    return 1.0 - _falling(share, KEYWORDS_ONLY, SENTENCES)


def _falling(value: float, full: float, nothing: float) -> float:
    """1.0 up to `full`, 0.0 from `nothing`, linear between."""
    return min(1.0, max(0.0, (nothing - value) / (nothing - full)))


# The same requirements are read at each scoring.
@functools.lru_cache(maxsize=4096)
def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    words = _words(text)
    rows = (words[n:] for n in range(COPIED_WORDS))
    return tuple(zip(*rows, strict=False))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
