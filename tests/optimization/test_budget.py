from types import SimpleNamespace

from po_optimizer.lms.ledger import CallRow, Ledger
from po_optimizer.optimization.budget import Budget
from po_optimizer.params.optimize import BudgetParams


def row(run_id, started, seconds, **more):
    """A paid call."""
    fields = {"stage": "optimize", "lm": "x", "paid": True, "optimization_id": "o"}
    fields |= {"run_id": run_id, "started": started, "seconds": seconds, **more}
    return CallRow(**fields)


def budget(*ledgers, **bounds):
    """The budget of an optimization whose LMs write to these ledgers."""
    lms = [SimpleNamespace(meter=SimpleNamespace(ledger=led)) for led in ledgers]
    return Budget(BudgetParams(**bounds), lms, "o")


def test_wall_time_is_summed_over_runs(tmp_path):
    """Each run counts from its first call's start to its last call's end."""
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.record(row("a", "2026-01-01T00:00:00.000+00:00", 5.0))
    ledger.record(row("a", "2026-01-01T00:00:02.000+00:00", 1.0))
    ledger.record(row("b", "2026-01-02T00:00:00.250+00:00", 10.0))
    assert ledger.wall_seconds("o") == 15.0
    assert ledger.wall_seconds("another") == 0.0
    assert budget(ledger).wall_seconds >= 15.0


def test_one_ledger_is_counted_once(tmp_path):
    """A prompt LM that shares the task LM's ledger does not double the calls."""
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.record(row("a", "2026-01-01T00:00:00+00:00", 5.0, prompt_tokens=7))
    again = Ledger(tmp_path / "l.sqlite")
    spent = budget(ledger, again).spent()
    assert (spent.paid, spent.tokens) == (1, 7)


def test_an_unknown_cost_is_not_zero(tmp_path):
    """One paid call of unknown cost makes the sum unknown."""
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.record(row("a", "2026-01-01T00:00:00+00:00", 5.0, cost_usd=None))
    assert budget(ledger).spent().cost_usd is None


def test_other_optimizations_do_not_count(tmp_path):
    """The budget is of one optimization, whatever else the ledger holds."""
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.record(row("a", "2026-01-01T00:00:00+00:00", 5.0, optimization_id="other"))
    own = budget(ledger, max_calls=1, max_minutes=0.01)
    own.check()
    assert own.spent().paid == 0
