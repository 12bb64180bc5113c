"""Splits are disjoint, balanced, reproducible and stable, whatever the seed."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from po_optimizer.errors import DataError
from po_optimizer.params import DataPrepParams
from po_optimizer.records import data_hash, split_records
from tests.small_role import LabelRecord, raw_record

KINDS = ("tool", "book", "game")
PROPERTY = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 10**6)
SIZES = st.tuples(*[st.integers(1, 10)] * 3)
NAMES = ("trainset", "valset", "testset")


def records(n, kinds=KINDS):
    """Distinct records, the kinds in turn."""
    return [raw_record(number, kinds[number % len(kinds)]) for number in range(n)]


def split(raw, sizes=(6, 6, 6), **changes):
    """The splits for train, val and test of these sizes."""
    names = ("train", "val", "test")
    params = DataPrepParams(sizes=dict(zip(names, sizes, strict=True)), **changes)
    return split_records(raw, LabelRecord, params)


def texts(splits, name):
    """The identities of one split."""
    return [record["text"] for record in getattr(splits, name)]


@PROPERTY
@given(SEEDS, SIZES)
def test_splits_are_disjoint_and_as_large_as_asked(seed, sizes):
    """No record stands in two splits."""
    splits = split(records(30), sizes, seed=seed)
    everything = [text for name in NAMES for text in texts(splits, name)]
    assert len(everything) == len(set(everything)) == sum(sizes)
    assert tuple(len(texts(splits, name)) for name in NAMES) == sizes


@PROPERTY
@given(SEEDS, st.integers(3, 10))
def test_each_split_has_the_strata_of_the_whole(seed, size):
    """A stratum's count is off its share by two records at the most."""
    splits = split(records(30), (size,) * 3, seed=seed)
    for name in NAMES:
        kinds = Counter(record["kind"] for record in getattr(splits, name))
        assert all(abs(kinds[kind] - size / 3) < 2 for kind in KINDS)


@PROPERTY
@given(SEEDS, st.integers(1, 10), st.integers(1, 10))
def test_testset_and_valset_stay_when_train_grows(seed, few, many):
    """Scores of a later, larger run are compared on the same examples."""
    raw = records(30)
    small, large = (split(raw, (n, 5, 5), seed=seed) for n in (few, many))
    assert small.testset == large.testset
    assert small.valset == large.valset


@PROPERTY
@given(SEEDS, st.integers(1, 10), st.integers(1, 10))
def test_testset_stays_when_val_grows(seed, few, many):
    """The testset is taken first."""
    raw = records(30)
    small, large = (split(raw, (5, n, 5), seed=seed) for n in (few, many))
    assert small.testset == large.testset


def test_same_seed_gives_the_same_splits():
    """Order and hash are reproducible; another seed gives others."""
    raw = records(30)
    first, again, other = (split(raw, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.report["data_hash"] != other.report["data_hash"]


def test_duplicates_are_left_out_of_every_split():
    """A near-copy is rejected with the record that it repeats."""
    raw = [*records(20)[:4], raw_record(99, text=records(4)[1]["text"].upper())]
    splits = split(raw, (1, 1, 2))
    (rejected,) = splits.rejected
    assert rejected.line == 5
    assert rejected.reason == "near-duplicate of usable record 2"
    assert splits.report["n_duplicates"] == 1


def test_similarity_of_one_keeps_near_duplicates():
    """At 1.0 only the same words in the same order count."""
    text = " ".join(f"word{n}" for n in range(40))
    raw = [raw_record(1, text=text), raw_record(2, text=f"{text} more")]
    raw += records(3)
    assert split(raw, (1, 1, 1), near_duplicate_similarity=1.0).rejected == []
    assert len(split(raw, (1, 1, 1)).rejected) == 1


@pytest.mark.parametrize("text", ["", "one", "one two"])
def test_short_texts_are_compared_too(text):
    """Texts of fewer words than a shingle are equal only to themselves."""
    short = text or "x"
    raw = [raw_record(1, text=short), raw_record(2, text=short), *records(3)]
    assert len(split(raw, (1, 1, 1)).rejected) == 1


def compared_each_with_each(raw, similarity):
    """Which records are rejected, and for which: the plain way, for small numbers."""
    kept, found = [], {}
    sets = []
    for record in raw:
        words = record["text"].lower().split()
        last = max(1, len(words) - 2)
        sets.append({tuple(words[i : i + 3]) for i in range(last)})
    for n, mine in enumerate(sets):
        alike = (len(mine & sets[k]) / len(mine | sets[k]) for k in kept)
        twins = (k for k, a in zip(kept, alike, strict=True) if a >= similarity)
        twin = next(twins, None)
        if twin is None:
            kept.append(n)
        else:
            found[n + 1] = f"near-duplicate of usable record {twin + 1}"
    return found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12), min_size=3),
    st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]),
)
def test_duplicates_are_those_of_comparing_each_with_each(texts, similarity):
    """Comparing only what can be alike finds the same twins, the first of several."""
    raw = [raw_record(n, text=" ".join(words)) for n, words in enumerate(texts)]
    expected = compared_each_with_each(raw, similarity)
    if len(raw) - len(expected) < 3:
        return  # too few for the splits
    rejected = split(raw, (1, 1, 1), near_duplicate_similarity=similarity).rejected
    assert {one.line: one.reason for one in rejected} == expected


def test_too_few_records_are_an_error():
    """The error counts what is asked, what is there and the duplicates."""
    raw = [*records(9), records(1)[0]]
    with pytest.raises(
        DataError, match=r"data_prep.sizes='4\+4\+4=12'.*9 usable records \(1 dup"
    ):
        split(raw, (4, 4, 4))


def test_report_counts_every_split_and_stratum():
    """The report is JSON-ready and adds up."""
    report = split(records(30)).report
    assert report["n_usable"] == 30
    assert report["splits"]["trainset"]["n"] == 6
    assert sum(report["splits"]["testset"]["strata"].values()) == 6


def test_data_hash_depends_on_content_not_on_key_order():
    """The same data has the same hash."""
    one = {"a": [{"x": 1, "y": 2}]}
    other = {"a": [{"y": 2, "x": 1}]}
    assert data_hash(one) == data_hash(other)
    assert data_hash(one) != data_hash({"a": [{"x": 1, "y": 3}]})
