"""How alike records are by their texts, whatever the role."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Scripts without spaces between words: a character is a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
Integers = NDArray[np.signedinteger[Any]]
Floats = NDArray[np.float64]

_SAME = 1.0 - 1e-9  # what rounding leaves of 1


@dataclass(frozen=True)
class Pair:
    """Two records and their similarity in [0, 1]; higher: more alike."""

    first: int
    second: int
    similarity: float


class TextVectors:
    """A vector for each record; the product of two is their similarity in [0, 1].

    A record is the pairs of neighboring words in each of its texts, so the order of
    the texts does not matter. Each text counts the same, however long; a pair that
    many records have, such as a form's fixed words, counts little.

    Args:
        texts: Of each record. One without a text is like no other, one without a word
            like others without.

    References:
        Salton, G. & Buckley, C. (1988). Term-weighting approaches in automatic text
            retrieval. Information Processing & Management 24(5).
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        rows, pairs, shares = _pair_shares(texts)
        n_with = np.bincount(pairs)
        rarity = np.log1p(len(texts) / np.maximum(n_with, 1))
        weights = np.sqrt(shares) * rarity[pairs]
        length = np.sqrt(np.bincount(rows, weights**2, minlength=len(texts)))
        # A pair of one record only is in its length, and in no product.
        shared = n_with[pairs] > 1
        rows, pairs = rows[shared], pairs[shared]
        weights = weights[shared] / length[rows]
        self._pairs = _Lists(rows, pairs, weights, len(texts))
        self._records = _Lists(pairs, rows, weights, len(n_with))

    def first_alike(self, least: float, groups: Integers) -> dict[int, Pair]:
        """Records that are like an earlier one that is not itself in this mapping.

        Args:
            least: Similarity from which two records are alike, above 0.
            groups: Of each record; within one only the same texts are alike, and
                those of a negative group have none.
        """
        alike: dict[int, Pair] = {}
        kept = np.ones(len(groups), dtype=bool)
        for later, others, similarity in self._products(range(len(groups))):
            in_group = (groups[others] == groups[later]) & (groups[later] >= 0)
            limit = np.where(in_group, _SAME, min(least, _SAME))
            hits = (others < later) & kept[others] & (similarity >= limit)
            if hits.any():
                place = np.argmin(np.where(hits, others, len(groups)))
                first, value = int(others[place]), float(similarity[place])
                alike[later] = Pair(first, later, min(1.0, value))
                kept[later] = False
        return alike

    def largest_between(self, parts: Sequence[Sequence[int]]) -> Pair | None:
        """The most alike two records of different parts; None if none share a pair."""
        part_of = np.full(len(self._pairs.sizes), -1)
        for number, part in enumerate(parts):
            part_of[list(part)] = number
        # The last part is compared with the others by their rows.
        rows = list(itertools.chain.from_iterable(parts[:-1]))
        largest: Pair | None = None
        for row, others, similarity in self._products(rows):
            elsewhere = (part_of[others] >= 0) & (part_of[others] != part_of[row])
            values = np.where(elsewhere, similarity, 0.0)
            best = int(np.argmax(values)) if len(values) else 0
            if len(values) and values[best] > (largest.similarity if largest else 0.0):
                value = min(1.0, float(values[best]))
                largest = Pair(row, int(others[best]), value)
        return largest

    def _products(self, rows: Sequence[int]) -> Iterator[tuple[int, Integers, Floats]]:
        """Each row, the records that share a pair with it, and their similarity."""
        for row in rows:
            pairs, weights = self._pairs.of(np.array([row]))
            others, their = self._records.of(pairs)
            own = np.repeat(weights, self._records.sizes[pairs])
            sums: Floats = np.bincount(others, own * their)  # type: ignore[assignment]
            alike = np.flatnonzero(sums)
            yield row, alike, sums[alike]


class _Lists:
    """A list of numbers with weights for each key.

    Written out: scipy.sparse does the same, and takes longer to import than a few
    hundred records to compare.
    """

    def __init__(
        self, keys: Integers, numbers: Integers, weights: Floats, n_keys: int
    ) -> None:
        order = np.argsort(keys, kind="stable")
        self._numbers, self._weights = numbers[order], weights[order]
        self.sizes = np.bincount(keys, minlength=n_keys)
        self._ends = np.cumsum(self.sizes)

    def of(self, keys: Integers) -> tuple[Integers, Floats]:
        """The lists of some keys, one behind the other."""
        sizes = self.sizes[keys]
        shift = np.repeat(self._ends[keys] - np.cumsum(sizes), sizes)
        places = shift + np.arange(len(shift))
        return self._numbers[places], self._weights[places]


def _pair_shares(
    texts: Sequence[Sequence[str]],
) -> tuple[Integers, Integers, Floats]:
    """Record, pair and the pair's shares of the record's texts, for each such two."""
    numbers: dict[str, int] = {}
    pairs: list[int] = []
    owners: list[int] = []  # the record of each text
    sizes: list[int] = []
    for row, record in enumerate(texts):
        words_of = [_WORD.findall(t.casefold()) or t.split() for t in record]
        for words in words_of if any(words_of) or not record else [[""]]:
            code = [numbers.setdefault(word, len(numbers) + 1) for word in words]
            own = {a << 32 | b for a, b in itertools.pairwise(code)} or set(code)
            pairs.extend(own)
            owners.append(row)
            sizes.append(len(own))
    counts = np.array(sizes, dtype=np.int64)
    rows = np.repeat(np.array(owners, dtype=np.int64), counts)
    shares = np.repeat(1 / np.maximum(counts, 1), counts)
    distinct, columns = np.unique(np.array(pairs, np.int64), return_inverse=True)
    width = max(1, len(distinct))
    cells, place = np.unique(rows * width + columns, return_inverse=True)
    sums: Floats = np.bincount(place, shares)  # type: ignore[assignment]
    return cells // width, cells % width, sums
