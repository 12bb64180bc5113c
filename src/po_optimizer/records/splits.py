"""Disjoint splits by seed, balanced over the strata, without near-duplicates."""

import hashlib
import json
import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from po_optimizer.errors import SettingError
from po_optimizer.params.project import DataPrepParams
from po_optimizer.records.checking import RejectedRecord, parse_record
from po_optimizer.records.similarity import TextVectors
from po_optimizer.roles.record import Identity, RecordType, stratum_of

_ORDER = ("testset", "valset", "trainset")  # the larger trainset changes no other


@dataclass(frozen=True)
class Splits:
    """The three splits and what was left out of them.

    Args:
        trainset: Demos are bootstrapped from these.
        valset: Candidates are chosen on these.
        testset: Final scores are reported on these.
        rejected: Duplicates; `line` counts usable records from 1.
        report: Sizes, strata, data hash and the largest similarity of two splits'
            records, JSON-ready.
    """

    trainset: list[dict[str, Any]]
    valset: list[dict[str, Any]]
    testset: list[dict[str, Any]]
    rejected: list[RejectedRecord]
    report: dict[str, Any]


def split_records(
    records: list[dict[str, Any]],
    record_type: RecordType,
    params: DataPrepParams,
    given: Mapping[str, list[dict[str, Any]]] | None = None,
) -> Splits:
    """Disjoint train, val and test sets with the strata's shares of the whole.

    The order that the seed gives is the same whatever the sizes, and the testset is
    taken from its front: a larger trainset leaves the testset as it was. The records
    of a group come into one split. A testset drawn anew (`testset_draw`) has records
    that no split of these sizes had before; trainset and valset stay.

    Args:
        records: Usable ones that the splits are drawn from.
        record_type: Of the role.
        params: Sizes and seed.
        given: Splits by name that are taken as they are. What is like a record of an
            earlier one, of testset, valset, trainset and `records`, is left out.

    Raises:
        SettingError: Too few records for the sizes.
    """
    given = given or {}
    own = [(name, record) for name in _ORDER for record in given.get(name, ())]
    homes = [*(name for name, _ in own), *("" for _ in records)]
    every = [*(record for _, record in own), *records]
    parsed = [parse_record(record, record_type) for record in every]
    identities = [Identity.of(record) for record in parsed]
    vectors = TextVectors([identity.texts for identity in identities])
    kept, rejected = _without_duplicates(
        vectors, identities, params.near_duplicate_similarity
    )
    strata = {index: stratum_of(parsed[index]) for index in kept}
    drawable = [index for index in kept if not homes[index]]
    units = _balanced_order(_units(drawable, identities), strata, params.seed)
    picks = _draw(units, params, set(given), len(rejected))
    picks |= {n: [i for i in kept if homes[i] == n] for n in _ORDER if n in given}
    picks = {name: picks[name] for name in _ORDER}
    splits = {name: [every[i] for i in chosen] for name, chosen in picks.items()}
    report = {
        "n_usable": len(kept),
        "n_unused": len(kept) - sum(map(len, picks.values())),
        "n_duplicates": len(rejected),
        "n_groups": len(units),
        "seed": params.seed,
        "testset_draw": params.testset_draw,
        "data_hash": data_hash(splits),
        "largest_similarity": _largest_similarity(vectors, picks),
        "splits": {
            name: {"n": len(chosen), "strata": _counts(strata, chosen)}
            for name, chosen in picks.items()
        },
    }
    return Splits(**splits, rejected=rejected, report=report)


def _draw(
    units: list[list[int]],
    params: DataPrepParams,
    given: set[str],
    n_duplicates: int,
) -> dict[str, list[int]]:
    """The splits that no file gives, the testset first."""
    n_records = sum(map(len, units))
    sizes = {
        name: _count(_size(params, name), n_records)
        for name in _ORDER
        if name not in given
    }
    draws = params.testset_draw if "testset" in sizes else 0
    fresh = [f"testset {draw}" for draw in range(1, draws + 1)]
    wanted = sizes | dict.fromkeys(fresh, sizes.get("testset", 0))
    shares = {name for name in wanted if isinstance(_size(params, name), float)}
    picks = _fill(units, wanted, n_duplicates, shares)
    drawn = [picks.pop(name) for name in fresh]
    return picks | ({"testset": drawn[-1]} if drawn else {})


def _size(params: DataPrepParams, name: str) -> float:
    """Of a split, or of one more `testset 1`."""
    size: float = getattr(params.sizes, name.partition("set")[0])
    return size


def _count(size: float, n_records: int) -> int:
    """A number of records, or a share of them: at least one."""
    if isinstance(size, int):
        return size
    return max(1, int(size * n_records + 1e-9))


def data_hash(splits: dict[str, list[dict[str, Any]]]) -> str:
    """sha256 over the splits' canonical JSON: what an optimization was made from."""
    text = json.dumps(splits, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def records_hash(records: Iterable[dict[str, Any]]) -> str:
    """sha256 over records in their order, read one at a time."""
    digest = hashlib.sha256()
    for record in records:
        text = json.dumps(record, sort_keys=True, ensure_ascii=False)
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


def _largest_similarity(
    vectors: TextVectors, picks: dict[str, list[int]]
) -> dict[str, Any]:
    """The most alike records of two splits: their similarity, numbers and splits."""
    largest = vectors.largest_between(list(picks.values()))
    if largest is None:
        return {"similarity": 0.0, "usable_records": [], "splits": []}
    pair = (largest.first, largest.second)
    home = {index: name for name, chosen in picks.items() for index in chosen}
    return {
        "similarity": round(largest.similarity, 4),
        "usable_records": [index + 1 for index in pair],
        "splits": [home[index] for index in pair],
    }


def _counts(strata: dict[int, tuple[str, ...]], chosen: list[int]) -> dict[str, int]:
    counts = Counter("/".join(strata[index]) for index in chosen)
    return dict(sorted(counts.items()))


def _without_duplicates(
    vectors: TextVectors, identities: Sequence[Identity], similarity: float
) -> tuple[list[int], list[RejectedRecord]]:
    """Indexes of the records that are like no earlier one, and the others."""
    numbers: dict[str, int] = {}
    groups = [
        -1 if group is None else numbers.setdefault(group, len(numbers))
        for group in (identity.group for identity in identities)
    ]
    alike = vectors.first_alike(similarity, np.array(groups, dtype=np.int64))
    rejected = [
        RejectedRecord(
            line=pair.second + 1,
            field="",
            reason=f"near-duplicate of usable record {pair.first + 1}, "
            f"similarity {pair.similarity:.2f}",
        )
        for pair in alike.values()
    ]
    return [i for i in range(len(identities)) if i not in alike], rejected


def _units(indexes: list[int], identities: Sequence[Identity]) -> list[list[int]]:
    """What comes into one split as a whole: the records of a group, else one record."""
    groups: dict[str, list[int]] = {}
    units: list[list[int]] = []
    for index in indexes:
        group = identities[index].group
        if group in groups:
            groups[group].append(index)
            continue
        units.append([index])
        if group is not None:
            groups[group] = units[-1]
    return units


def _fill(
    units: list[list[int]],
    sizes: dict[str, int],
    n_duplicates: int,
    shares: set[str],
) -> dict[str, list[int]]:
    """The splits in turn.

    Of a number, what does not fit of a group's records is left out. A share is as
    near as whole groups come.
    """
    waiting = deque(units)
    grouped = len(units) < sum(map(len, units))
    picks: dict[str, list[int]] = {name: [] for name in sizes}
    for name, size in sizes.items():
        chosen, is_near = picks[name], grouped and name in shares
        while waiting and len(chosen) < size:
            if is_near and chosen and len(waiting[0]) > 2 * (size - len(chosen)):
                break
            chosen += waiting.popleft()
        if len(chosen) < (1 if is_near else size):
            raise _too_few(sizes, units, n_duplicates)
        if not is_near:
            del chosen[size:]
    return picks


def _too_few(
    sizes: dict[str, int], units: list[list[int]], n_duplicates: int
) -> SettingError:
    named = ("trainset", "valset", "testset")
    fresh = [size for name, size in sizes.items() if name not in named]
    counts = [*(sizes[name] for name in named if name in sizes), *fresh]
    n_usable = sum(map(len, units))
    problem = f"there are {n_usable} usable records ({n_duplicates} duplicates)"
    if len(units) < n_usable:
        problem += f" in {len(units)} groups, and a group comes into one split only"
    return SettingError(
        "data_prep.sizes",
        "+".join(map(str, counts)) + f"={sum(sizes.values())}",
        problem,
        "Lower the sizes or give more records"
        + (
            ", or raise data_prep.near_duplicate_similarity (1.0: duplicates have the "
            "same words)."
            if n_duplicates
            else "."
        ),
    )


def _balanced_order(
    units: list[list[int]], strata: dict[int, tuple[str, ...]], seed: int
) -> list[list[int]]:
    """An order in which every stretch has about the strata's shares of the whole.

    Each stratum is shuffled and spread evenly over [0, 1); the order is that of the
    positions. A random offset per stratum keeps small strata from always coming last.
    A group belongs to the stratum of most of its records.
    """
    rng = random.Random(seed)  # noqa: S311 -- a reproducible order, not a secret
    members: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for unit in units:
        (most, _), *_ = Counter(strata[index] for index in unit).most_common(1)
        members[most].append(unit)
    positions: list[tuple[float, list[int]]] = []
    for stratum in sorted(members):
        inside = members[stratum]
        rng.shuffle(inside)
        offset = rng.random()
        positions += [((k + offset) / len(inside), u) for k, u in enumerate(inside)]
    return [unit for _, unit in sorted(positions)]
