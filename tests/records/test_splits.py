"""Splits are disjoint, balanced, reproducible and stable, whatever the seed."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from po_optimizer.errors import SettingError
from po_optimizer.params.project import DataPrepParams
from po_optimizer.records.splits import data_hash, split_records
from po_optimizer.roles.record import Identity
from tests.small_role import LabelRecord, raw_record

KINDS = ("tool", "book", "game")
PROPERTY = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 10**6)
SIZES = st.tuples(*[st.integers(1, 10)] * 3)
NAMES = ("trainset", "valset", "testset")
SIXES = {"train": 6, "val": 6, "test": 6}


def records(n, kinds=KINDS):
    """Distinct records, the kinds in turn."""
    return [raw_record(number, kinds[number % len(kinds)]) for number in range(n)]


DISTINCT = (
    "hammers fall on cold iron",
    "seven ships left the bay at dawn",
    "a ledger of unpaid bills",
    "violins rehearse upstairs",
)


class GroupedRecord(LabelRecord):
    """A record that belongs to the group that its kind names."""

    def identity(self):
        """The text and the group."""
        return Identity((self.text,), group=self.kind)


def split(raw, sizes=(6, 6, 6), record_type=LabelRecord, **changes):
    """The splits for train, val and test of these sizes."""
    names = ("train", "val", "test")
    params = DataPrepParams(sizes=dict(zip(names, sizes, strict=True)), **changes)
    return split_records(raw, record_type, params)


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
    assert rejected.reason == "near-duplicate of usable record 2, similarity 1.00"
    assert splits.report["n_duplicates"] == 1


def test_similarity_of_one_keeps_near_duplicates():
    """At 1.0 only records of the same word pairs are duplicates."""
    text = " ".join(f"word{n}" for n in range(40))
    raw = [raw_record(1, text=text), raw_record(2, text=f"{text} more")]
    raw += records(3)
    assert split(raw, (1, 1, 1), near_duplicate_similarity=1.0).rejected == []
    assert len(split(raw, (1, 1, 1)).rejected) == 1


@pytest.mark.parametrize("text", ["", "one", "one two"])
def test_short_texts_are_compared_too(text):
    """Texts of less than a pair of words are equal only to themselves."""
    short = text or "x"
    raw = [raw_record(1, text=short), raw_record(2, text=short), *records(3)]
    assert len(split(raw, (1, 1, 1)).rejected) == 1


def test_a_group_stays_in_one_split():
    """Records of one customer are in one split; what does not fit is left out."""
    raw = [{**one, "kind": f"customer {n % 9}"} for n, one in enumerate(records(36))]
    splits = split(raw, (10, 5, 6), record_type=GroupedRecord)
    homes = defaultdict(set)
    for name in NAMES:
        for record in getattr(splits, name):
            homes[record["kind"]].add(name)
    assert all(len(names) == 1 for names in homes.values())
    assert [len(getattr(splits, name)) for name in NAMES] == [10, 5, 6]
    assert splits.report["n_groups"] == 9


def test_shares_come_as_near_as_whole_groups():
    """Groups seldom add up to a share; none is cut, and all records are used."""
    sizes = (0.3, 0.3, 0.4)
    raw = [{**one, "kind": f"customer {n % 7}"} for n, one in enumerate(records(60))]
    splits = split(raw, sizes, record_type=GroupedRecord)
    given = [len(getattr(splits, name)) for name in NAMES]
    assert sum(given) == 60
    assert all(abs(n - 60 * s) <= 9 for n, s in zip(given, sizes, strict=True))


def test_only_the_same_texts_are_duplicates_within_a_group():
    """Two letters of one customer may be alike; the same letter twice is one."""
    alike = [raw_record(n, text=f"my order {n} of tools is late") for n in (1, 2, 1)]
    raw = [*alike, *records(4)]
    splits = split(raw, (1, 1, 1), record_type=GroupedRecord)
    assert [rejected.line for rejected in splits.rejected] == [3]


def test_groups_that_leave_too_few_are_an_error():
    """The error says that a group comes into one split only."""
    raw = [{**one, "kind": "the only customer"} for one in records(9)]
    with pytest.raises(SettingError, match="in 1 groups, and a group comes into one"):
        split(raw, (1, 1, 1), record_type=GroupedRecord)


def test_the_report_names_the_most_alike_records_of_two_splits():
    """Similarity, record numbers and splits of the pair that comes closest."""
    both = f"{DISTINCT[0]} but then {DISTINCT[1]}"
    raw = [raw_record(n, text=text) for n, text in enumerate([*DISTINCT[:2], both])]
    limit = {"near_duplicate_similarity": 0.99}
    largest = split(raw, (1, 1, 1), **limit).report["largest_similarity"]
    assert largest["similarity"] > 0.4
    assert sorted(largest["usable_records"]) == [2, 3]
    assert len(set(largest["splits"])) == 2


def test_nothing_in_common_is_a_similarity_of_zero():
    """Splits without a shared pair of words are not alike at all."""
    raw = [raw_record(n, text=text) for n, text in enumerate(DISTINCT)]
    assert split(raw, (1, 1, 1)).report["largest_similarity"]["similarity"] == 0.0


def test_too_few_records_are_an_error():
    """The error counts what is asked, what is there and the duplicates."""
    raw = [*records(9), records(1)[0]]
    with pytest.raises(
        SettingError, match=r"data_prep.sizes='4\+4\+4=12'.*9 usable records \(1 dup"
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


def test_a_fresh_testset_has_records_that_no_split_had():
    """Trainset and valset stay; each draw has other records, until there are none."""
    made = [raw_record(n, ("tool", "book", "game")[n % 3]) for n in range(20)]
    sizes = {"train": 4, "val": 3, "test": 4}
    draws = [
        split_records(made, LabelRecord, DataPrepParams(sizes=sizes, testset_draw=draw))
        for draw in range(3)
    ]
    tests = [str(record) for splits in draws for record in splits.testset]
    assert len(set(tests)) == 12
    assert draws[0].trainset == draws[2].trainset
    assert draws[0].valset == draws[2].valset
    assert not {str(record) for record in draws[0].trainset} & set(tests)
    with pytest.raises(SettingError, match=r"4\+3\+4\+4\+4\+4=23"):
        split_records(made, LabelRecord, DataPrepParams(sizes=sizes, testset_draw=3))


def test_sizes_may_be_shares():
    """Of the usable records; what is left over is counted."""
    splits = split(records(30), (0.5, 0.2, 0.2))
    assert [len(getattr(splits, name)) for name in NAMES] == [15, 6, 6]
    assert splits.report["n_unused"] == 3
    with pytest.raises(ValidationError, match=r"shares add up to 1.1, at most 1"):
        DataPrepParams(sizes={"train": 0.5, "val": 0.3, "test": 0.3})


def test_split_of_a_file_is_taken_as_it_is():
    """The others are drawn, and have none of its records."""
    raw, given = records(20), records(24)[20:]
    given = [*given, raw[0]]
    splits = split_records(
        raw, LabelRecord, DataPrepParams(sizes=dict(SIXES)), {"testset": given}
    )
    assert splits.testset == given
    assert raw[0] not in [*splits.trainset, *splits.valset]
    assert (len(splits.trainset), len(splits.valset)) == (6, 6)


def test_trainset_never_holds_what_the_files_of_others_hold():
    """Two files with a record in common would leak it."""
    first, second = records(6), records(10)[5:]
    given = {"trainset": first, "testset": second, "valset": records(12)[10:]}
    splits = split_records([], LabelRecord, DataPrepParams(), given)
    assert len(splits.trainset) == 5
    assert splits.rejected[0].reason.startswith("near-duplicate")
