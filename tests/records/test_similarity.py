"""Similarity sees through what keeps a record the same, for any role's texts."""

import math
import random
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from po_optimizer.params.project import DataPrepParams
from po_optimizer.records.similarity import TextVectors
from tests.product_owner.records import records

LEAST = DataPrepParams().near_duplicate_similarity


def shipped():
    """The texts of the 180 records."""
    return [list(record.identity()) for record in records()]


def replaced(text, n, rng):
    """The text with n of its words replaced by others."""
    words = text.split()
    for place in rng.sample(range(len(words)), min(n, len(words))):
        words[place] = f"other{rng.randrange(10**6)}"
    return " ".join(words)


def of_another(texts, other):
    """A new name, concept and description above the same requirements."""
    return [*other[:3], *texts[3:]]


VARIANTS = {
    "requirements reversed": lambda own, other, rng: own[:3] + own[3:][::-1],
    "fields in another order": lambda own, other, rng: rng.sample(own, len(own)),
    "one word replaced per requirement": lambda own, other, rng: (
        own[:3] + [replaced(text, 1, rng) for text in own[3:]]
    ),
    "two words replaced per text": lambda own, other, rng: (
        [replaced(text, 2, rng) for text in own]
    ),
    "new name and concept": lambda own, other, rng: of_another(own, other),
    "both": lambda own, other, rng: of_another(
        [replaced(text, 1, rng) for text in own], other
    ),
    "a fifth of all words replaced": lambda own, other, rng: (
        [replaced(text, max(1, len(text.split()) // 5), rng) for text in own]
    ),
    "every second requirement left out": lambda own, other, rng: own[:3] + own[3::2],
    "capitals and punctuation": lambda own, other, rng: (
        [text.upper().replace(" ", ", ") for text in own]
    ),
}


def alike(texts, least=LEAST, groups=None):
    """Each later record that is like an earlier one, and that one."""
    none = np.full(len(texts), -1)
    pairs = TextVectors(texts).first_alike(least, none if groups is None else groups)
    return {pair.second: pair.first for pair in pairs.values()}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_record_written_anew_is_a_duplicate(name):
    """With the default, every record of the shipped data is recognized again."""
    rng, own = random.Random(4), shipped()  # noqa: S311
    others = own[61:] + own[:61]
    variants = [VARIANTS[name](*pair, rng) for pair in zip(own, others, strict=True)]
    expected = {n + len(own): n for n in range(len(own))}
    assert alike(own + variants) == expected


def test_no_shipped_record_is_like_another():
    """The default loses nothing: the largest similarity is far below it."""
    assert alike(shipped()) == {}
    halves = (range(90), range(90, 180))
    assert TextVectors(shipped()).largest_between(halves).similarity < LEAST / 3


def test_a_form_s_fixed_words_make_no_duplicates():
    """What all records share counts little: their own words decide."""
    things = ("brass lamps", "oak chairs", "steel bolts", "clay pipes", "roof tiles")
    towns = ("Lyon", "Bilbao", "Porto", "Ghent")
    orders = [
        [f"Order number {n}. Please send us the following goods: {a} {n}, to {b} {n}"]
        for n, (a, b) in enumerate((a, b) for a in things for b in towns)
    ]
    assert alike(orders) == {}


def test_scripts_without_spaces_are_compared_too():
    """A character is a word where words are not divided."""
    texts = [["\u6771\u4eac\u306e\u5929\u6c17\u306f\u96e8\u3067\u3059"]]
    texts += [[texts[0][0][:-1] + "\u304b"], ["\u732b\u304c\u5bdd\u308b"]]
    assert alike(texts) == {1: 0}


def test_texts_without_words_are_equal_to_themselves_only():
    """Signs as they stand, empty ones too; a record without a text is like no other."""
    assert alike([["?!"], ["?!"], ["?"], [], [], [""], [" "]]) == {1: 0, 6: 5}


def plainly(texts):
    """The similarity of every two records, by the formula."""
    pairs = []
    for record in texts:
        weights = Counter()
        for text in record:
            own = set(pairwise(text.split())) or {(text, "")}
            for pair in own:
                weights[pair] += 1 / len(own)
        pairs.append(weights)
    n_with = Counter(pair for weights in pairs for pair in weights)
    rarity = {pair: math.log1p(len(texts) / n) ** 2 for pair, n in n_with.items()}

    def product(one, other):
        shared = one.keys() & other.keys()
        return sum(math.sqrt(one[p] * other[p]) * rarity[p] for p in shared)

    return {
        (a, b): product(pairs[a], pairs[b])
        / math.sqrt(product(pairs[a], pairs[a]) * product(pairs[b], pairs[b]))
        for a, b in combinations(range(len(texts)), 2)
    }


TEXT = st.lists(st.sampled_from("abcde"), min_size=1, max_size=8).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=2, max_size=12),
    st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]),
)
def test_the_vectors_give_what_the_formula_says(texts, least):
    """Duplicates and the largest similarity are those of comparing each with each."""
    similarity = plainly(texts)
    kept, expected = [], {}
    for later in range(len(texts)):
        earlier = [k for k in kept if similarity[k, later] >= least]
        if earlier:
            expected[later] = earlier[0]
        else:
            kept.append(later)
    if all(abs(value - least) > 1e-9 for value in similarity.values()):
        assert alike(texts, least) == expected
    half = len(texts) // 2
    parts = (range(half), range(half, len(texts)))
    between = [v for (a, b), v in similarity.items() if a < half <= b]
    largest = TextVectors(texts).largest_between(parts)
    assert (largest.similarity if largest else 0.0) == pytest.approx(max(between))


def test_many_records_are_compared_in_blocks():
    """A duplicate is recognized across the blocks that bound the memory."""
    texts = [[f"text {n} of its own kind{n} and matter{n}"] for n in range(600)]
    assert alike([*texts, texts[3], texts[599]]) == {600: 3, 601: 599}
