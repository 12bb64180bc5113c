from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from po_optimizer.optimization.forecast import forecast
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.optimizers.base import Sizes
from po_optimizer.optimization.preflight.run import PreflightReport, preflight
from po_optimizer.optimization.run import optimize
from tests.optimization import world

CONFIGURATIONS = [
    ("miprov2", {}),
    ("miprov2", {"miprov2": {"num_trials": 12, "num_candidates": 5}}),
    (
        "miprov2",
        {"miprov2": {"num_trials": 6, "minibatch": True, "minibatch_size": 4}},
    ),
    (
        "miprov2",
        {"miprov2": {"num_trials": None, "num_candidates": None, "auto": "light"}},
    ),
    (
        "miprov2",
        {
            "miprov2": {
                "program_aware_proposer": True,
                "data_aware_proposer": True,
                "view_data_batch_size": 4,
            }
        },
    ),
    ("miprov2", {"miprov2": {"max_bootstrapped_demos": 0, "max_labeled_demos": 0}}),
    ("gepa", {}),
    ("gepa", {"gepa": {"max_full_evals": None, "max_metric_calls": 90}}),
    (
        "gepa",
        {
            "gepa": {
                "acceptance_criterion": "improvement_or_equal",
                "candidate_selection_strategy": "current_best",
                "use_merge": True,
            }
        },
    ),
    ("bootstrap_random_search", {}),
]


def forecast_of(lm, params, n_train=12, n_val=12):
    """The forecast of the small world."""
    return forecast(world.job(lm, params, n_train=n_train, n_val=n_val))


@pytest.mark.parametrize(("optimizer", "changes"), CONFIGURATIONS)
def test_calls_are_within_the_bounds(tmp_path, optimizer, changes):
    """Paid calls of preflight and search lie where the forecast says."""
    lm, params = world.lm(tmp_path), world.settings(optimizer, **changes)
    job = world.job(lm, params, n_train=12, n_val=12)
    expected = forecast(job, preflight(job))
    report = optimize(job, workspace=tmp_path, forecast=expected).report
    assert expected.calls.lower <= report.spent.paid <= expected.calls.upper


@settings(max_examples=30, deadline=None)
@given(
    trials=st.integers(1, 12),
    candidates=st.integers(1, 8),
    bootstrapped=st.integers(0, 3),
    labeled=st.integers(0, 3),
    minibatch=st.booleans(),
    seed=st.integers(0, 99),
)
def test_bounds_are_ordered(
    *, trials, candidates, bootstrapped, labeled, minibatch, seed
):
    """Lower <= upper for any arguments."""
    params = world.settings(
        seed=seed,
        miprov2={
            "num_trials": trials,
            "num_candidates": candidates,
            "max_bootstrapped_demos": bootstrapped,
            "max_labeled_demos": labeled,
            "minibatch": minibatch,
            "minibatch_size": 4,
        },
    )
    calls = make_optimizer(params).calls(Sizes(predictors=2, train=9, val=7))
    for bounds in (calls.task, calls.prompt):
        assert 0 <= bounds.lower <= bounds.upper


@pytest.mark.parametrize("optimizer", ["miprov2", "gepa", "bootstrap_random_search"])
def test_calls_are_those_of_the_probe_s_runs(tmp_path, optimizer):
    """An agent's run is as many calls as were seen, between least and most of them."""
    job = world.job(world.lm(tmp_path), world.settings(optimizer))
    report = PreflightReport(
        optimization_id="", checks=[], seconds=0, calls_per_run=[2, 3, 7]
    )
    single, agent = forecast(job), forecast(job, report)
    assert agent.task.lower == single.task.lower
    assert agent.task.upper == 12 * single.task.upper
    assert agent.prompt == single.prompt


def test_an_evaluation_that_follows_is_counted_apart(tmp_path):
    """Both programs answer it, unless they are one."""
    job = world.job(world.lm(tmp_path), world.settings())
    expected = forecast(job, n_evaluated=5)
    assert (expected.evaluation.lower, expected.evaluation.upper) == (5, 10)
    assert expected.calls == forecast(job).calls
    assert ", 5 to 10 to evaluate" in expected.describe()
    assert "evaluate" not in forecast(job).describe()


def test_first_forecast_takes_the_setting(tmp_path):
    """Without experience seconds come from the setting, tokens and cost are unknown."""
    expected = forecast_of(
        world.lm(tmp_path, seconds_per_example=2.0), world.settings()
    )
    assert expected.task_rate.basis == "setting"
    assert expected.seconds == expected.calls.upper * 2.0
    assert expected.tokens is None
    assert expected.cost_usd is None
    assert "unknown" in expected.describe()


def test_later_forecasts_take_the_ledger(tmp_path):
    """After a run the same LM's calls give seconds, tokens and cost."""
    lm = world.lm(tmp_path, world.slow(0.01))
    result = world.run(tmp_path, lm)
    expected = forecast_of(lm, world.settings(), 8, 8)
    assert expected.task_rate.basis == "ledger"
    assert expected.tokens >= result.report.spent.tokens
    assert expected.cost_usd == 0.0


def test_time_is_that_of_earlier_calls(tmp_path):
    """With experience: the calls expected, at the seconds of a call measured."""
    first = world.lm(tmp_path, world.slow(0.02))
    world.run(tmp_path, first)
    seconds = mean(row.seconds for row in first.meter.ledger.rows() if row.paid)
    lm = world.lm(tmp_path, world.slow(0.02), model="same-speed")
    expected = forecast_of(lm, world.settings(), 8, 8)
    assert expected.seconds == pytest.approx(expected.calls.upper * seconds, rel=0.25)


def test_the_budget_is_compared(tmp_path):
    """Each bound that the expected calls pass is named with both numbers."""
    bounds = {"max_calls": 5, "max_minutes": 0.5, "max_tokens": 1}
    expected = forecast_of(world.lm(tmp_path), world.settings(budget=bounds))
    assert [text.split("=")[0] for text in expected.over_budget] == [
        "optimize.budget.max_calls",
        "optimize.budget.max_minutes",
    ]
    assert "may reach the budget" in expected.describe()


@pytest.mark.parametrize("auto", ["light", "medium", "heavy"])
def test_gepa_auto_is_dspys_own_number(auto):
    """The count of scorings is what GEPA computes for itself."""
    bound = {"auto": auto, "max_full_evals": None}
    optimizer = make_optimizer(world.settings("gepa", gepa=bound))
    assert optimizer.scorings(Sizes(1, 10, 20)) > 100


@pytest.mark.parametrize(("racing", "n"), [(True, 50), (False, 100)])
def test_auto_takes_a_sample_of_a_large_valset(racing, n):
    """`auto` looks at so many examples, drawn by the seed; the rest is left out."""
    numbers = {"num_trials": None, "num_candidates": None}
    auto = {**numbers, "auto": "light", "racing": racing}
    optimizer = make_optimizer(world.settings(miprov2=auto))
    chosen = optimizer.choose_valset(world.examples("v", 130))
    assert len(chosen) == n
    assert optimizer.choose_valset(world.examples("v", 30)) == world.examples("v", 30)
