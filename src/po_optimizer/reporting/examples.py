"""Chooses the examples of a report: of a large testset only the telling ones."""

from collections.abc import Iterable
from heapq import nlargest, nsmallest

from pydantic import JsonValue

from po_optimizer.evaluation.paired_scores import side_by_side
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.params.base import Result

LOSSES, GAINS, NOT_OK = 80, 60, 60
MOST_SHOWN = LOSSES + GAINS + NOT_OK  # a page of more is slow to open


class Case(Result):
    """One example with both answers; `difference` is None if one is unscored."""

    before: PredictionRecord
    after: PredictionRecord
    difference: float | None

    @property
    def reference(self) -> dict[str, JsonValue]:
        """What the example says is right, of what the programs give if they name it."""
        labels, given = self.before.labels, {*(self.before.outputs or {})}
        given |= {*(self.after.outputs or {})}
        return {k: v for k, v in labels.items() if k in given} or labels


def choose_cases(
    baseline: Iterable[PredictionRecord], optimized: Iterable[PredictionRecord]
) -> list[Case]:
    """All examples, losses first; of more than `MOST_SHOWN` the telling ones.

    Those are the largest losses, the largest gains, and the first that failed or are
    unscored. Both streams are read twice, and only what is shown is kept.

    Raises:
        PoOptimizerError: The records are not of the same examples.
    """
    pairs = [
        (_difference(before, after), position, {before.status, after.status} != {"ok"})
        for position, (before, after) in enumerate(side_by_side(baseline, optimized))
    ]
    wanted = {position for _, position, _ in pairs}
    if len(pairs) > MOST_SHOWN:
        scored = [(d, position) for d, position, _ in pairs if d is not None]
        losses = nsmallest(LOSSES, [pair for pair in scored if pair[0] < 0.0])
        gains = nlargest(GAINS, [pair for pair in scored if pair[0] > 0.0])
        not_ok = [position for _, position, bad in pairs if bad][:NOT_OK]
        wanted = {position for _, position in losses + gains} | set(not_ok)
    cases = [
        Case(before=before, after=after, difference=_difference(before, after))
        for position, (before, after) in enumerate(side_by_side(baseline, optimized))
        if position in wanted
    ]
    # What got worse first: it is what speaks against a promotion.
    return sorted(cases, key=lambda c: (c.difference is None, c.difference or 0.0))


def describe_choice(n_shown: int, n_examples: int) -> str:
    """Which examples are left out; "" if none is."""
    if n_shown == n_examples:
        return ""
    return (
        f"{n_shown:,} of {n_examples:,} examples: up to {LOSSES} largest losses, "
        f"{GAINS} largest gains, {NOT_OK} failed or unscored"
    )


def _difference(before: PredictionRecord, after: PredictionRecord) -> float | None:
    if before.score is None or after.score is None:
        return None
    return after.score - before.score
