"""Usage adds up, knows its mean, and reads what earlier versions wrote."""

import pytest

from po_optimizer.lms.usage import MeanUsage, Usage

PRICED = Usage(paid=3, cached=1, failed=1, prompt_tokens=8, cost_usd=0.5, seconds=2.0)


def test_sums_are_of_each_field():
    """Calls, tokens, cost and seconds add up, and nothing added is nothing."""
    more = Usage(paid=1, completion_tokens=4, cost_usd=0.25, seconds=1.0)
    total = sum([PRICED, more], start=Usage())
    assert (total.paid, total.calls, total.tokens) == (4, 5, 12)
    assert (total.cost_usd, total.seconds) == (0.75, 3.0)


def test_an_unknown_cost_makes_the_sum_unknown():
    """Unknown is not zero."""
    assert (PRICED + Usage(paid=1, cost_usd=None)).cost_usd is None


def test_the_mean_is_over_answered_calls():
    """Seconds of failed attempts count, the attempts do not."""
    mean = PRICED.per_call("probe")
    expected = {"n": 2, "seconds": 1.0, "tokens": 4.0, "cost_usd": 0.25}
    assert mean == MeanUsage(basis="probe", **expected)
    assert Usage(paid=1, failed=1).per_call() is None


def test_earlier_optimization_reports_are_read():
    """Their `spent` had one sum of tokens and other names."""
    earlier = {
        "calls_paid": 20,
        "calls_cached": 2,
        "tokens": 900,
        "cost_usd": None,
        "call_seconds": 30.5,
    }
    usage = Usage.model_validate(earlier)
    assert (usage.paid, usage.cached, usage.tokens) == (20, 2, 900)
    assert (usage.cost_usd, usage.seconds) == (None, pytest.approx(30.5))
