"""The budget: checked before each paid call, counted over all restarts."""

import time
from collections.abc import Sequence

from typing_extensions import Unpack

from po_optimizer.lms.ledger import CallFilter
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.lms.stops import BudgetReached
from po_optimizer.lms.usage import Usage
from po_optimizer.params.optimize import BudgetParams


class Budget:
    """Refuses paid LM calls of one optimization once a bound is reached.

    Args:
        params: The bounds; None is no bound.
        lms: The task LM and the prompt LM, which may be one or share a ledger.
        optimization_id: What all restarts share.
    """

    def __init__(
        self, params: BudgetParams, lms: Sequence[MeteredLM], optimization_id: str
    ) -> None:
        ledgers = [lm.meter.ledger for lm in lms]
        self.params = params
        self._ledgers = list({led.path.resolve(): led for led in ledgers}.values())
        self.optimization_id = optimization_id
        self._started = time.monotonic()
        self._earlier_seconds = self._ledgers[0].wall_seconds(optimization_id)

    def spent(self, **of: Unpack[CallFilter]) -> Usage:
        """Usage so far by the ledgers: of all calls, or of one stage, trial or run."""
        of["optimization_id"] = self.optimization_id
        return sum((led.totals(**of) for led in self._ledgers), start=Usage())

    @property
    def wall_seconds(self) -> float:
        """Wall time of this optimization, earlier runs of it included."""
        return self._earlier_seconds + time.monotonic() - self._started

    def check(self) -> None:
        """Raises once a bound is reached; registered in `Meter.guards`.

        Raises:
            BudgetReached: A bound is reached.
        """
        bounds = self.params
        if bounds.max_minutes is not None:
            _refuse_from("max_minutes", bounds.max_minutes, self.wall_seconds / 60)
        if bounds.max_calls or bounds.max_tokens:
            spent = self.spent()
            _refuse_from("max_calls", bounds.max_calls, spent.paid)
            _refuse_from("max_tokens", bounds.max_tokens, spent.tokens)
        if bounds.max_cost_usd:
            # an answer without a token count must not hide what the others cost
            identity = self.optimization_id
            spent_usd = sum(led.known_cost_usd(identity) for led in self._ledgers)
            _refuse_from("max_cost_usd", bounds.max_cost_usd, spent_usd)


def _refuse_from(setting: str, bound: float | None, spent: float) -> None:
    if bound is not None and spent >= bound:
        raise BudgetReached(setting, bound, spent)
