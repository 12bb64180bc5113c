"""LM calls of one trial, the same in a resumed run as in an uninterrupted one."""

import time
from dataclasses import dataclass

from po_optimizer.lms import Ledger, Meter
from po_optimizer.optimization.budget import distinct


class Effort:
    """Tells the meters which trial is running and counts its calls.

    Args:
        meters: Of the task LM and the prompt LM.
        optimization_id: What all restarts share.
    """

    def __init__(self, meters: list[Meter], optimization_id: str) -> None:
        self._meters = meters
        self._ledgers = distinct([meter.ledger for meter in meters])
        self._id = optimization_id

    def start(self, trial: int) -> "EffortMeter":
        """Begins a trial."""
        self._set(trial)
        return EffortMeter(self, trial, time.perf_counter(), self.calls_so_far())

    def end(self) -> None:
        """Ends it: calls between trials belong to none."""
        self._set(None)

    def _set(self, trial: int | None) -> None:
        for meter in self._meters:
            meter.trial = trial

    def calls_so_far(self) -> int:
        """Paid and cached, of the whole optimization."""
        every = [each.totals(optimization_id=self._id) for each in self._ledgers]
        return sum(totals.paid + totals.cached for totals in every)

    def paid_in(self, trial: int) -> int:
        """Paid for in this trial, over all restarts."""
        return sum(_paid_in(ledger, self._id, trial) for ledger in self._ledgers)


@dataclass(frozen=True)
class EffortMeter:
    """The calls of one running trial."""

    effort: Effort
    trial: int
    clock: float
    calls_before: int

    def calls(self) -> tuple[int, int]:
        """(paid, cached).

        A call that an earlier run of the same optimization paid for counts as paid,
        though the cache answers it now.
        """
        paid = self.effort.paid_in(self.trial)
        every = self.effort.calls_so_far() - self.calls_before
        return paid, max(0, every - paid)


def _paid_in(ledger: Ledger, optimization_id: str, trial: int) -> int:
    rows = ledger.rows(optimization_id=optimization_id)
    return sum(row.paid and row.trial == trial for row in rows)
