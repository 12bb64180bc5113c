import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from po_optimizer.evaluation import statistics
from po_optimizer.evaluation.statistics import (
    LARGE_N,
    estimate,
    examples_needed,
    expected_maximum,
    noise_floor,
    paired_test,
)
from po_optimizer.params import PromotionParams
from tests.evaluation.made import QUICK

PARAMS = PromotionParams()

SCORES = st.lists(
    st.floats(0, 1, allow_nan=False).map(lambda x: round(x, 3)), max_size=12
)


def test_the_interval_is_scipys_bca() -> None:
    """The interval is that of scipy.stats.bootstrap with the configured seed."""
    values = [0.1, 0.4, 0.35, 0.8, 0.55, 0.62, 0.3, 0.9, 0.71]
    found = estimate(values, QUICK).interval
    expected = stats.bootstrap(
        (np.array(values),),
        np.mean,
        n_resamples=1000,
        batch=2000,
        rng=np.random.default_rng(QUICK.seed),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.method == "bca"


@settings(max_examples=30, deadline=None)
@given(SCORES)
def test_an_interval_encloses_its_mean(values: list[float]) -> None:
    """Whatever the scores, the mean lies in the interval and both in the range."""
    found = estimate(values, QUICK)
    assert found.n == len(values)
    if found.interval is not None:
        tolerance = 1e-12
        assert found.interval.low <= found.mean + tolerance
        assert found.interval.high >= found.mean - tolerance
        assert -tolerance <= found.interval.low
        assert found.interval.high <= 1 + tolerance


def test_nothing_measured_has_no_mean() -> None:
    """Without values there is no mean, and the note says why."""
    found = estimate([], QUICK)
    assert (found.mean, found.n) == (None, 0)
    assert found.note == "nothing was measured"


def test_two_values_have_no_interval() -> None:
    """Below three values a mean comes without interval, and the note says why."""
    found = estimate([0.2, 0.4], QUICK)
    assert found.interval is None
    assert "too small" in found.note


def test_few_values_carry_a_warning() -> None:
    """Below eight values the interval is called a rough range."""
    assert "rough range" in estimate([0.2, 0.4, 0.6], QUICK).note


def test_equal_values_do_not_pretend_to_certainty() -> None:
    """Equal values bound the share of unseen others by Clopper-Pearson."""
    found = estimate([1.0] * 8, QUICK).interval
    upper = stats.binomtest(0, 8).proportion_ci(0.95, "exact").high
    assert found.method == "clopper_pearson"
    assert (found.low, found.high) == pytest.approx((1.0 - upper, 1.0))


def test_small_samples_are_tested_exactly() -> None:
    """Six positive differences have the exact two-sided p of 2 in 2^6."""
    test = paired_test([0.1, 0.2, 0.3, 0.15, 0.25, 0.35], QUICK)
    assert test.method == "exact"
    assert test.p_value == pytest.approx(2 / 64)


def test_larger_samples_are_tested_by_permutation() -> None:
    """Past the number of resamples the p-value is drawn and never 0."""
    test = paired_test([0.1] * 30, QUICK)
    assert test.method == "permutation"
    assert 0 < test.p_value < 0.01


@pytest.mark.parametrize("n", [LARGE_N, 3 * LARGE_N])
@pytest.mark.parametrize("failing", [0.0, 0.01, 0.3])
def test_the_interval_of_many_is_the_bootstraps(n: int, failing: float) -> None:
    """In closed form, skewed scores have scipy's BCa limits within 4 % of its width."""
    rng = np.random.default_rng(n)
    values = rng.beta(5, 1, n) * (rng.random(n) >= failing)
    found = estimate(values.tolist(), PARAMS).interval
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=9999, batch=100, rng=np.random.default_rng(9)
    ).confidence_interval
    near = 0.04 * (expected.high - expected.low)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=near)
    assert found.method == "abc"


@pytest.mark.parametrize("n_failed", [1, 3, 20])
def test_rare_failures_of_many_stay_in_the_range(n_failed: int) -> None:
    """Where a normal interval would pass 1.0, this one leans to the failures' side."""
    values = [0.0] * n_failed + [1.0] * (10_000 - n_failed)
    found = estimate(values, PARAMS).interval
    exact = stats.binomtest(n_failed, 10_000).proportion_ci(0.95, "exact")
    assert 1.0 - exact.high == pytest.approx(found.low, abs=0.3 * exact.high)
    assert estimate(values, PARAMS).mean < found.high <= 1.0


def test_the_interval_of_many_holds_the_truth_as_often_as_it_says() -> None:
    """In 2,000 samples of skewed scores it misses in 4 to 6 of 100."""
    rng = np.random.default_rng(5)
    samples = rng.beta(5, 1, (2000, LARGE_N)) * (rng.random((2000, LARGE_N)) >= 0.02)
    truth = 5 / 6 * 0.98
    found = [estimate(values.tolist(), PARAMS).interval for values in samples]
    missed = sum(not one.low <= truth <= one.high for one in found) / 2000
    assert 0.04 <= missed <= 0.06


@pytest.mark.parametrize("n", [1024, LARGE_N, 5 * LARGE_N])
def test_many_differences_are_tested_by_permutation(n: int) -> None:
    """Past 1,023 differences 2^n is no float; the p-value nears the normal's."""
    values = np.random.default_rng(3).normal(0.5 / math.sqrt(n), 0.3, n)
    test = paired_test(values.tolist(), PARAMS)
    normal = 2 * stats.norm.sf(abs(values.sum()) / math.sqrt((values**2).sum()))
    assert test.method == "permutation"
    assert test.p_value == pytest.approx(normal, abs=0.015)


def test_batches_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory at a time is bounded; the numbers are those of one batch."""
    values = np.random.default_rng(4).beta(5, 1, 300).tolist()
    whole = estimate(values, QUICK), paired_test(values, QUICK)
    monkeypatch.setattr(statistics, "_AT_ONCE", 3000)
    assert (estimate(values, QUICK), paired_test(values, QUICK)) == whole


def test_no_difference_at_all_has_p_one() -> None:
    """Two programs with equal scores everywhere give p=1."""
    assert paired_test([0.0] * 5, QUICK).p_value == 1.0


def test_the_expected_maximum_is_that_of_order_statistics() -> None:
    """Known values: 0 for one, 1/sqrt(pi) for two, 1.5388 for ten normals."""
    assert expected_maximum(1) == 0.0
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert expected_maximum(10) == pytest.approx(1.53875, abs=1e-4)


def test_the_noise_floor_matches_a_simulation() -> None:
    """The best of 10 equal candidates on 24 examples rises as the formula says."""
    rng = np.random.default_rng(1)
    scores = rng.normal(0.0, 0.3, size=(4000, 10, 24))
    best = scores.mean(axis=2).max(axis=1).mean()
    assert noise_floor(10, 24, 0.3 * math.sqrt(2)) == pytest.approx(best, rel=0.03)


def test_examples_needed_follow_the_normal_approximation() -> None:
    """An uplift of 0.05 with SD 0.15 takes 71 examples; no uplift takes none."""
    assert examples_needed(0.05, 0.15, 0.95) == 71
    assert examples_needed(0.0, 0.15, 0.95) is None
