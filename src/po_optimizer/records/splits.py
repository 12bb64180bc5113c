"""Disjoint splits by seed, balanced over the strata, without near-duplicates."""

import hashlib
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from po_optimizer.errors import DataError
from po_optimizer.params import DataPrepParams
from po_optimizer.records.checking import RejectedRecord
from po_optimizer.roles import RecordType

_SHINGLE_WORDS = 3
_BUCKETS = 2**18  # shingles are counted together with others: what is rare stays rare

_Shingle = tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    """The three splits and what was left out of them.

    Args:
        trainset: Demos are bootstrapped from these.
        valset: Candidates are chosen on these.
        testset: Final scores are reported on these.
        rejected: Duplicates; `line` counts usable records from 1.
        report: Sizes, strata and the data hash, JSON-ready.
    """

    trainset: list[dict[str, Any]]
    valset: list[dict[str, Any]]
    testset: list[dict[str, Any]]
    rejected: list[RejectedRecord]
    report: dict[str, Any]


def split_records(
    records: list[dict[str, Any]],
    record_type: type[RecordType],
    params: DataPrepParams,
) -> Splits:
    """Disjoint train, val and test sets with the strata's shares of the whole.

    The order that the seed gives is the same whatever the sizes, and the testset is
    taken from its front: a larger trainset leaves the testset as it was.

    Raises:
        DataError: Too few records for the sizes.
    """
    parsed = [record_type.model_validate(record) for record in records]
    kept, rejected = _without_duplicates(parsed, params.near_duplicate_similarity)
    sizes = params.sizes
    wanted = sizes.train + sizes.val + sizes.test
    if wanted > len(kept):
        raise DataError(
            "data_prep.sizes",
            f"{sizes.train}+{sizes.val}+{sizes.test}={wanted}",
            f"there are {len(kept)} usable records ({len(rejected)} duplicates)",
            "Lower the sizes or give more records.",
        )
    strata = {index: parsed[index].stratum() for index in kept}
    order = _balanced_order(strata, params.seed)
    picks = {
        "testset": order[: sizes.test],
        "valset": order[sizes.test : sizes.test + sizes.val],
        "trainset": order[sizes.test + sizes.val : wanted],
    }
    splits = {name: [records[i] for i in chosen] for name, chosen in picks.items()}
    report = {
        "n_usable": len(kept),
        "n_duplicates": len(rejected),
        "seed": params.seed,
        "data_hash": data_hash(splits),
        "splits": {
            name: {"n": len(chosen), "strata": _counts(strata, chosen)}
            for name, chosen in picks.items()
        },
    }
    return Splits(**splits, rejected=rejected, report=report)


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


def _counts(strata: dict[int, tuple[str, ...]], chosen: list[int]) -> dict[str, int]:
    counts = Counter("/".join(strata[index]) for index in chosen)
    return dict(sorted(counts.items()))


def _without_duplicates(
    parsed: list[RecordType], similarity: float
) -> tuple[list[int], list[RejectedRecord]]:
    """Indexes of the records that are like no earlier one, and the others.

    Two sets with a Jaccard similarity of t or more have, sorted the same way, one of
    their first n - ceil(t n) + 1 elements in common: only records that share one of
    those are compared. The rarest come first, so that few do.

    References:
        Bayardo, R., Ma, Y. & Srikant, R. (2007). Scaling up all pairs similarity
            search. WWW.
    """
    kept: list[int] = []
    rejected: list[RejectedRecord] = []
    known: dict[_Shingle, list[int]] = defaultdict(list)
    counts = Counter(hash(one) % _BUCKETS for r in parsed for one in _shingles(r))
    for index, record in enumerate(parsed):
        mine = _shingles(record)
        rarest = sorted(mine, key=lambda one: (counts[hash(one) % _BUCKETS], one))
        first = rarest[: len(mine) - math.ceil(similarity * len(mine) - 1e-9) + 1]
        alike = {k for one in first for k in known[one]} if similarity else kept
        twin = next(
            (
                k
                for k in sorted(alike)
                if _jaccard(mine, _shingles(parsed[k])) >= similarity
            ),
            None,
        )
        if twin is None:
            kept.append(index)
            for one in first:
                known[one].append(index)
            continue
        reason = f"near-duplicate of usable record {twin + 1}"
        rejected.append(RejectedRecord(line=index + 1, field="", reason=reason))
    return kept, rejected


def _shingles(record: RecordType) -> frozenset[_Shingle]:
    words = record.identity().lower().split()
    last = max(1, len(words) - _SHINGLE_WORDS + 1)
    return frozenset(tuple(words[i : i + _SHINGLE_WORDS]) for i in range(last))


def _jaccard(one: frozenset[_Shingle], other: frozenset[_Shingle]) -> float:
    return len(one & other) / len(one | other)


def _balanced_order(strata: dict[int, tuple[str, ...]], seed: int) -> list[int]:
    """An order in which every stretch has about the strata's shares of the whole.

    Each stratum is shuffled and spread evenly over [0, 1); the order is that of the
    positions. A random offset per stratum keeps small strata from always coming last.
    """
    rng = random.Random(seed)  # noqa: S311 -- a reproducible order, not a secret
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, stratum in strata.items():
        groups[stratum].append(index)
    positions: list[tuple[float, int]] = []
    for stratum in sorted(groups):
        members = groups[stratum]
        rng.shuffle(members)
        offset = rng.random()
        positions += [((k + offset) / len(members), i) for k, i in enumerate(members)]
    return [index for _, index in sorted(positions)]
