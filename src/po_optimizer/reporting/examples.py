"""Chooses the examples of a report: of a large testset only the telling ones."""

from collections.abc import Iterable
from heapq import nlargest, nsmallest

from pydantic import JsonValue

from po_optimizer.evaluation.paired_scores import side_by_side
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.params.base import Result

LOSSES, GAINS, WORST, NOT_OK = 80, 40, 40, 40
MOST_SHOWN = LOSSES + GAINS + WORST + NOT_OK  # a page of more is slow to open


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

    Those are the largest losses, the largest gains, the optimized program's lowest
    scores, and the first that failed or are unscored. Both streams are read twice, and
    only what is shown is kept.

    Raises:
        PoOptimizerError: The records are not of the same examples.
    """
    rows = [
        (number, _difference(*pair), pair[1].score, {p.status for p in pair} != {"ok"})
        for number, pair in enumerate(side_by_side(baseline, optimized))
    ]
    wanted = {number for number, *_ in rows}
    if len(rows) > MOST_SHOWN:
        changed = [(change, number) for number, change, *_ in rows if change]
        losses = nsmallest(LOSSES, [pair for pair in changed if pair[0] < 0.0])
        gains = nlargest(GAINS, [pair for pair in changed if pair[0] > 0.0])
        scores = [(score, number) for number, _, score, _ in rows if score is not None]
        worst = nsmallest(WORST, [pair for pair in scores if pair[0] < 1.0])
        not_ok = [(bad, number) for number, *_, bad in rows if bad][:NOT_OK]
        wanted = {number for _, number in losses + gains + worst + not_ok}
    cases = [
        Case(before=before, after=after, difference=_difference(before, after))
        for number, (before, after) in enumerate(side_by_side(baseline, optimized))
        if number in wanted
    ]
    # What got worse first: it is what speaks against a promotion.
    return sorted(cases, key=lambda c: (c.difference is None, c.difference or 0.0))


def describe_choice(n_shown: int, n_examples: int) -> str:
    """Which examples are left out; "" if none is."""
    if n_shown == n_examples:
        return ""
    return (
        f"{n_shown:,} of {n_examples:,} examples: up to {LOSSES} largest losses, "
        f"{GAINS} largest gains, {WORST} lowest scores of the optimized program, and "
        f"{NOT_OK} failed or unscored"
    )


def _difference(before: PredictionRecord, after: PredictionRecord) -> float | None:
    if before.score is None or after.score is None:
        return None
    return after.score - before.score
