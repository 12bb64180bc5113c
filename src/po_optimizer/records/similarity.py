"""How alike records are by their texts, whatever the role."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its parts load when they are used
from numpy.typing import NDArray

# Scripts without spaces between words: a character is a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_BLOCK = 256  # records compared at a time with all others: bounds the memory
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
        texts: Of each record; a record without a word is like no other.

    References:
        Salton, G. & Buckley, C. (1988). Term-weighting approaches in automatic text
            retrieval. Information Processing & Management 24(5).
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        weighted = _pair_weights(texts)
        n_with = np.bincount(weighted.indices, minlength=weighted.shape[1])
        rarity = np.log1p(len(texts) / np.maximum(n_with, 1))
        weighted.data = np.sqrt(weighted.data) * rarity[weighted.indices]
        length = np.sqrt(weighted.multiply(weighted).sum(axis=1))
        unit = scipy.sparse.diags_array(1 / np.where(length > 0, length, 1.0))
        # A pair of one record only is in its length, and in no product.
        self._rows = (unit @ weighted).tocsr()[:, n_with > 1]
        self._columns = self._rows.T.tocsr()

    def first_alike(self, least: float, groups: NDArray[np.int64]) -> dict[int, Pair]:
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
        part_of = np.full(self._rows.shape[0], -1)
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

    def _products(
        self, rows: Sequence[int]
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
        """Each row, the records that share a pair with it, and their similarity."""
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            product = self._rows[list(block)] @ self._columns
            for place, row in enumerate(block):
                inside = slice(*product.indptr[place : place + 2])
                yield row, product.indices[inside], product.data[inside]


def _pair_weights(texts: Sequence[Sequence[str]]) -> Any:
    """A row a record, a column a pair: the pair's shares of the record's texts."""
    numbers: dict[str, int] = {}
    rows, pairs, shares = [], [], []
    for row, record in enumerate(texts):
        for text in record:
            words = _WORD.findall(text.casefold()) or text.split()
            code = [numbers.setdefault(word, len(numbers) + 1) for word in words]
            own = {a << 32 | b for a, b in itertools.pairwise(code)} or set(code)
            rows.append(np.full(len(own), row))
            pairs.append(np.fromiter(own, dtype=np.int64, count=len(own)))
            shares.append(np.full(len(own), 1 / max(1, len(own))))
    if not rows:
        return scipy.sparse.csr_array((len(texts), 0))
    distinct, columns = np.unique(np.concatenate(pairs), return_inverse=True)
    cells = (np.concatenate(shares), (np.concatenate(rows), columns))
    # csr_array adds up what is said twice of a cell
    return scipy.sparse.csr_array(cells, shape=(len(texts), len(distinct)))
