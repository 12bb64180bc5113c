import pytest

from po_optimizer.errors import BelowBoundError
from po_optimizer.evaluation.promotion import check_fail_below, decide
from po_optimizer.evaluation.score_report import compare
from po_optimizer.params import FailBelow, PromotionOverride
from tests.evaluation.made import QUICK, record, report

LOW = [0.6, 0.7, 0.65, 0.72, 0.58, 0.66, 0.61, 0.69]
GOOD = [0.93, 0.95, 0.9, 0.96, 0.92, 0.94, 0.91, 0.97]


def test_a_clear_uplift_above_the_target_is_promoted() -> None:
    """Interval above 0, small p, rubric at the target, all scored: promote."""
    found = decide(report(LOW, GOOD), QUICK)
    assert (found.decision, found.measured) == ("promote", "promote")
    assert "lies above 0" in found.reasons[0]


def test_a_rubric_below_the_target_keeps_the_baseline() -> None:
    """A proven uplift that misses target_rubric is not promoted."""
    found = decide(report(LOW, [score + 0.1 for score in LOW]), QUICK)
    assert found.decision == "keep_baseline"
    assert "target_rubric=0.88" in found.reasons[0]


def test_no_uplift_keeps_the_baseline() -> None:
    """A program that is not better is not promoted, whatever its rubric."""
    found = decide(report(GOOD, [score - 0.01 for score in GOOD]), QUICK)
    assert found.decision == "keep_baseline"
    assert "not better" in found.reasons[0]


def test_an_uplift_that_may_be_chance_is_inconclusive() -> None:
    """An interval that reaches 0 gives inconclusive and how many examples it takes."""
    noisy = [1.0, 0.86, 0.98, 0.87, 1.0, 0.89, 0.99, 0.93]
    found = decide(report(GOOD, noisy), QUICK)
    assert 0 < found.evidence.uplift < 0.05
    assert found.decision == "inconclusive"
    assert "its interval is not above 0. An uplift of this size" in found.reasons[0]


def test_the_test_must_agree_with_the_interval() -> None:
    """Five examples can reach p=0.0625 at best, so they never promote."""
    found = decide(report(LOW[:5], GOOD[:5]), QUICK)
    assert found.evidence.uplift_low > 0
    assert found.decision == "inconclusive"
    assert "p=0.062" in found.reasons[0]
    assert "less than 6 examples" in found.reasons[0]


def test_an_unscored_answer_is_inconclusive() -> None:
    """Incomplete coverage is not promoted, and the reason names the number."""
    found = decide(report(LOW, [*GOOD[:7], None]), QUICK)
    assert found.decision == "inconclusive"
    assert "1 answers are unscored" in found.reasons[0]


def test_no_common_example_is_inconclusive() -> None:
    """Without one pair there is no uplift, and the reason says so."""
    found = decide(report([None, 0.5], [0.9, None]), QUICK)
    assert found.decision == "inconclusive"
    assert found.evidence.uplift is None
    assert found.reasons[0] == "No example was scored for both programs."


def test_a_decision_by_hand_is_recorded() -> None:
    """An override holds; who, why and what the measurement says stay readable."""
    by_hand = PromotionOverride(decision="promote", by="Ada", reason="demo on Friday")
    params = QUICK.model_copy(update={"override": by_hand})
    found = decide(report(GOOD, LOW), params)
    assert (found.decision, found.measured) == ("promote", "keep_baseline")
    assert found.reasons[0] == "promote by hand of Ada: demo on Friday"
    assert found.override == by_hand


def test_more_failures_are_remarked() -> None:
    """A program that wins on average but fails more often is said to do so."""
    before = [record(i, 0.5) for i in range(12)]
    after = [record(i, 0.99 - i / 100) for i in range(11)]
    failed = record(11, 0.0, status="failed", reason="unreadable")
    found = decide(compare(before, [*after, failed], QUICK), QUICK)
    assert any("fails more often: 1" in reason for reason in found.reasons)


def test_a_metric_without_rubric_skips_the_target() -> None:
    """Without rubric the target cannot apply, and the reasons say so."""
    before = [record(i, s, rubric=None) for i, s in enumerate(LOW)]
    after = [record(i, s, rubric=None) for i, s in enumerate(GOOD)]
    found = decide(compare(before, after, QUICK), QUICK)
    assert found.decision == "promote"
    assert any("no rubric" in reason for reason in found.reasons)


def test_bounds_that_are_met_let_the_report_pass() -> None:
    """Met and absent bounds raise nothing."""
    check_fail_below(report(LOW, GOOD), FailBelow(rubric=0.9, uplift=0.1))
    check_fail_below(report(GOOD, LOW), FailBelow())


@pytest.mark.parametrize("name", ["rubric", "uplift"])
def test_a_bound_that_is_missed_names_itself(name: str) -> None:
    """The error names the bound, its value and what was measured, and exits with 4."""
    with pytest.raises(BelowBoundError, match=f"fail_below.{name}=0.5") as caught:
        check_fail_below(report(GOOD, [0.3] * 8), FailBelow(**{name: 0.5}))
    assert caught.value.exit_code == 4


def test_an_unmeasured_value_meets_no_bound() -> None:
    """A rubric bound on a metric without rubric fails instead of passing silently."""
    plain = compare([record(0, 0.5, rubric=None)], [record(0, 0.5, rubric=None)], QUICK)
    with pytest.raises(BelowBoundError, match="was not measured"):
        check_fail_below(plain, FailBelow(rubric=0.5))
