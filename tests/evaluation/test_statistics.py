import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from po_optimizer.evaluation import statistics
from po_optimizer.evaluation.estimates import examples_needed
from po_optimizer.evaluation.sign_flips import (
    expected_maximum,
    noise_floor,
    paired_test,
    pairwise_tests,
)
from po_optimizer.evaluation.statistics import (
    LARGE_N,
    estimate,
    estimate_uplift,
    seen_interval,
    share_of_groups,
    value_range,
)
from po_optimizer.params.evaluate import PromotionParams
from tests.evaluation.scripted import QUICK

PARAMS = PromotionParams()

SCORES = st.lists(
    st.floats(0, 1, allow_nan=False).map(lambda x: round(x, 3)), max_size=12
)


def test_the_interval_of_seen_differences_is_scipys_bca() -> None:
    """The interval is that of scipy.stats.bootstrap with the configured seed."""
    values = [0.1, 0.4, 0.35, -0.8, 0.55, 0.62, 0.3, 0.9, 0.71]
    found = seen_interval(values, QUICK, 0.05)
    expected = stats.bootstrap(
        (np.array(values),),
        np.mean,
        n_resamples=1000,
        batch=2000,
        rng=np.random.default_rng(QUICK.seed),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.method == "bca"


@pytest.mark.parametrize("n", [6, 12, 20, 34, 300])
@pytest.mark.parametrize("failing", [0.05, 0.10])
def test_intervals_hold_where_failures_are_rare(n: int, failing: float) -> None:
    """A mean of 0.9 with rare zeros lies in the interval in at least 93 of 100."""
    rng = np.random.default_rng(n)
    samples = rng.uniform(0.85, 0.95, (200, n)) * (rng.random((200, n)) >= failing)
    found = [estimate(values.tolist(), QUICK).interval for values in samples]
    truth = 0.9 * (1.0 - failing)
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93


@pytest.mark.parametrize("n", [8, 34])
@pytest.mark.parametrize(("lost", "gained"), [(0.1, 0.1), (0.05, 0), (0, 0.05)])
def test_the_uplifts_interval_holds_where_differences_are_rare(
    n: int, lost: float, gained: float
) -> None:
    """Rare answers lost or gained whole: the uplift lies in it in 93 of 100."""
    rng = np.random.default_rng(n)
    before = rng.uniform(0.6, 0.8, (200, n)) * (rng.random((200, n)) >= gained)
    after = rng.uniform(0.6, 0.8, (200, n)) * (rng.random((200, n)) >= lost)
    found = [
        estimate_uplift((b - a).tolist(), float(a.mean()), QUICK).interval
        for a, b in zip(before, after, strict=True)
    ]
    truth = 0.7 * (gained - lost)
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.92


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


def test_groups_of_one_change_nothing() -> None:
    """Examples that stand alone are measured as if nothing were known of groups."""
    values = [0.1, 0.4, 0.35, -0.2, 0.55, 0.3]
    alone = list("abcdef")
    assert estimate_uplift(values, 0.5, QUICK, alone) == estimate_uplift(
        values, 0.5, QUICK
    )
    assert paired_test(values, QUICK, 0.05, alone) == paired_test(values, QUICK)


@settings(max_examples=30, deadline=None)
@given(SCORES.filter(len), st.integers(1, 5))
def test_shares_of_groups_have_the_mean_of_the_examples(
    values: list[float], n_groups: int
) -> None:
    """Whatever the sizes of the groups, the mean stays that of the examples."""
    groups = [str(place % n_groups) for place in range(len(values))]
    mean = sum(values) / len(values)
    shares = share_of_groups(values, groups, mean)
    assert len(shares) == min(n_groups, len(values))
    assert shares.mean() == pytest.approx(mean)


def test_a_group_has_one_sign() -> None:
    """Six groups of equal differences have the p of six examples, not of thirty."""
    values = [0.1, 0.2, 0.3, 0.15, 0.25, 0.35] * 5
    groups = [str(place % 6) for place in range(30)]
    assert paired_test(values, QUICK, 0.05, groups).p_value == pytest.approx(2 / 64)
    found = estimate_uplift(values, 0.5, QUICK, groups)
    assert (found.n, found.n_groups, found.n_independent) == (30, 6, 6)


def test_nothing_measured_has_no_mean() -> None:
    """Without values there is no mean, and the note says why."""
    found = estimate([], QUICK)
    assert (found.mean, found.n) == (None, 0)
    assert found.note == "nothing was measured"


def test_equal_values_do_not_pretend_to_certainty() -> None:
    """Equal values bound the share of unseen others as Clopper and Pearson do."""
    found = estimate([1.0] * 8, PARAMS).interval
    upper = stats.binomtest(0, 8).proportion_ci(0.95, "exact").high
    assert (found.low, found.high) == pytest.approx((1.0 - upper, 1.0), abs=0.02)


def test_nearly_equal_values_have_nearly_the_same_interval() -> None:
    """One value that differs by a hundredth does not halve the interval."""
    equal, nearly = estimate([1.0] * 6, QUICK), estimate([1.0] * 5 + [0.99], QUICK)
    assert nearly.interval.low == pytest.approx(equal.interval.low, abs=0.005)


def test_a_range_claims_no_confidence_in_others() -> None:
    """The ceiling is shown from its lowest to its highest value."""
    found = value_range([0.8, 0.9, 1.0]).interval
    assert (found.low, found.high, found.method) == (0.8, 1.0, "min_max")


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


@pytest.mark.parametrize("n_failed", [0, 1, 3, 20])
def test_the_closed_form_is_the_drawn_interval(
    n_failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 250 skewed scores both have the same limits, within 2 % of the width."""
    values = np.random.default_rng(3).beta(5, 1, 250)
    values[:n_failed] = 0.0
    closed = estimate(values.tolist(), PARAMS).interval
    monkeypatch.setattr(statistics, "_DRAWN_N", 1000)
    drawn = estimate(values.tolist(), PARAMS).interval
    near = 0.02 * (drawn.high - drawn.low)
    assert closed.low == pytest.approx(drawn.low, abs=near)
    assert closed.high == pytest.approx(drawn.high, abs=near)


@pytest.mark.parametrize("n_failed", [1, 3, 20])
def test_rare_failures_of_many_stay_in_the_range(n_failed: int) -> None:
    """Where a normal interval would pass 1.0, this one leans to the failures' side."""
    values = [0.0] * n_failed + [1.0] * (10_000 - n_failed)
    found = estimate(values, PARAMS).interval
    exact = stats.binomtest(n_failed, 10_000).proportion_ci(0.95, "exact")
    assert 1.0 - exact.high == pytest.approx(found.low, abs=0.3 * exact.high)
    assert estimate(values, PARAMS).mean < found.high <= 1.0


def test_the_interval_of_many_holds_the_truth_as_often_as_it_says() -> None:
    """In 800 samples of skewed scores it misses in 4 to 6 of 100."""
    rng = np.random.default_rng(5)
    samples = rng.beta(5, 1, (800, LARGE_N)) * (rng.random((800, LARGE_N)) >= 0.02)
    truth = 5 / 6 * 0.98
    found = [estimate(values.tolist(), PARAMS).interval for values in samples]
    missed = sum(not one.low <= truth <= one.high for one in found) / 800
    assert 0.04 <= missed <= 0.06


@pytest.mark.parametrize("n", [1024, LARGE_N])
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


def test_a_single_difference_proves_nothing() -> None:
    """One pair has two sign patterns, which are equally far from 0."""
    assert paired_test([0.5], QUICK).p_value == 1.0
    interval = estimate_uplift([0.0], 1.0, QUICK).interval
    assert interval is not None
    assert interval.low == -1.0  # an uplift is no lower, whatever may be lost


def test_a_small_alpha_gets_a_test_that_can_reach_it() -> None:
    """More sign patterns are drawn where 1,000 could not show a p so small."""
    values = [0.3] * 40
    assert paired_test(values, QUICK).p_value > 0.0005
    assert paired_test(values, QUICK, 0.0001).p_value < 0.0001


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


def test_a_minibatch_sends_candidates_that_were_lucky_already() -> None:
    """The best of 3 sent from 12 minibatches rises more than the best of 4 would."""
    rng = np.random.default_rng(1)
    scores = rng.normal(0.0, 0.3, size=(4000, 13, 30))
    whole = scores.mean(axis=2)
    part = np.argsort(-scores[:, 1:, :10].mean(axis=2), axis=1)[:, :3] + 1
    sent = np.take_along_axis(whole, part, axis=1)
    best = np.maximum(sent.max(axis=1), whole[:, 0]).mean()
    found = noise_floor(4, 30, 0.3 * math.sqrt(2), num_tried=12, n_minibatch=10)
    assert found == pytest.approx(best, rel=0.04)
    assert found > 1.1 * noise_floor(4, 30, 0.3 * math.sqrt(2))


@pytest.mark.parametrize("n", [6, 12, 34])
def test_equal_programs_are_hardly_ever_told_apart(n: int) -> None:
    """In 300 rounds of five equal programs about 5 % or fewer call two different."""
    rng = np.random.default_rng(n)
    rounds = rng.normal(0.7, 0.1, (300, n, 1)) + rng.normal(0.0, 0.1, (300, n, 5))
    told = [(pairwise_tests(scores, QUICK) <= 0.05).any() for scores in rounds]
    assert np.mean(told) <= 0.06


def test_different_programs_are_told_apart() -> None:
    """The pair that differs has a small p, the equal pair none."""
    rng = np.random.default_rng(2)
    scores = rng.normal(0.5, 0.05, (20, 3))
    scores[:, 2] += 0.3
    tests = pairwise_tests(np.column_stack([scores, scores[:, 0]]), QUICK)
    assert tests[0, 2] < 0.01
    assert tests[0, 1] > 0.05
    assert tests[0, 3] == tests[0, 0] == 1.0


def test_examples_needed_are_the_most_that_a_condition_takes() -> None:
    """The test's normal approximation, the rare losses, the least n of the test."""
    assert examples_needed(0.05, 0.15, 0.5, 0.05) == 71
    assert examples_needed(0.05, 0.10, 0.9, 0.05) == 55
    assert examples_needed(0.9, 0.01, 0.1, 0.05) == 6
    assert examples_needed(0.0, 0.15, 0.5, 0.05) is None
