import pytest

from po_optimizer.errors import BelowBoundError
from po_optimizer.evaluation.paired_scores import score_pairs
from po_optimizer.evaluation.promotion import check_fail_below, decide
from po_optimizer.evaluation.wear import Judgement
from po_optimizer.lms.usage import Usage
from po_optimizer.params.evaluate import FailAbove, FailBelow, PromotionOverride
from tests.evaluation.scripted import QUICK, record, records, report

LOW = [0.6, 0.7, 0.65, 0.72, 0.58, 0.66, 0.61, 0.69]
GOOD = [0.93, 0.95, 0.9, 0.96, 0.92, 0.94, 0.91, 0.97]


def test_a_clear_uplift_above_the_target_is_promoted() -> None:
    """Interval above 0, small p, rubric at the target, all scored: promote."""
    found = decide(report(LOW, GOOD), QUICK)
    assert (found.decision, found.measured) == ("promote", "promote")
    assert "is proven" in found.reasons[0]


def test_better_but_below_the_target_has_its_own_word() -> None:
    """A proven uplift that misses target_rubric is not promoted, nor called none."""
    found = decide(report([0.3] * 12, [0.6, 0.61] * 6), QUICK)
    assert found.decision == "below_target"
    assert "target_rubric=0.88" in found.reasons[0]
    assert "is proven" in found.reasons[1]


def test_a_mean_of_rounded_rubrics_reaches_its_target() -> None:
    """23 rubrics of exactly 0.88 are not below 0.88, although their float mean is."""
    found = decide(report([0.3] * 23, [0.88] * 23), QUICK)
    assert found.decision == "promote"


def test_a_target_above_the_references_is_said() -> None:
    """The reason names what the reference outputs themselves reach."""
    references = records([0.8] * 12, "reference")
    found = decide(report([0.3] * 12, [0.6] * 12, reference=references), QUICK)
    assert "reference outputs themselves reach 0.800" in found.reasons[1]


def test_gains_must_pay_for_rare_losses() -> None:
    """A small sure gain is refused while three lost answers would cost more."""
    before = [0.9] * 34
    found = decide(report(before, [0.95, 0.96] * 17), QUICK)
    assert found.decision == "inconclusive"
    assert "the gains add up to 34 x 0.055 = 1.87" in found.reasons[0]
    assert "must exceed 3 x 0.900 (the baseline's mean) = 2.70" in found.reasons[0]
    assert (
        found.reasons[1] == "An uplift of this size takes about 50 examples to prove."
    )


def test_gains_are_counted_in_groups() -> None:
    """Twelve examples of three customers prove no more than three examples."""
    before, after = (
        [record(n, score, which=which, group=f"customer {n % 3}") for n in range(12)]
        for score, which in ((0.5, "baseline"), (0.95, "optimized"))
    )
    found = decide(score_pairs(before, after, QUICK), QUICK)
    assert found.decision == "inconclusive"
    assert found.evidence.n_groups == 3
    assert found.reasons[0].startswith("Too few groups of examples: with 3 not even")
    assert found.reasons[1].endswith("6 groups of examples to prove.")


def test_one_pair_is_inconclusive() -> None:
    """A testset of one example is judged without an error."""
    found = decide(report([0.1], [1.0]), QUICK)
    assert found.decision == "inconclusive"
    assert "with 1 not even a perfect score would be proven" in found.reasons[0]


def test_a_worn_testset_says_what_promotion_needs() -> None:
    """The seventh program is told its number, its p and what would restore it."""
    worn = Judgement.at(7, 1, 0.05)
    found = decide(report(LOW, GOOD, judgement=worn), QUICK)
    assert found.decision == "inconclusive"
    text = " ".join(found.reasons)
    assert "the 7th judgement on this testset" in text
    assert "promotion now needs p <= 0.00015" in text
    assert "raise data_prep.testset_draw by 1" in text


def test_no_uplift_keeps_the_baseline() -> None:
    """A program that is not better is not promoted, whatever its rubric."""
    found = decide(report(GOOD, [score - 0.01 for score in GOOD]), QUICK)
    assert found.decision == "keep_baseline"
    assert "not better" in found.reasons[0]


def test_an_uplift_that_may_be_chance_is_inconclusive() -> None:
    """An interval that reaches 0 gives inconclusive and how many examples it takes."""
    noisy = [0.7, 0.6, 0.75, 0.62, 0.7, 0.56, 0.71, 0.63]
    found = decide(report(LOW, noisy), QUICK)
    assert 0 < found.evidence.uplift < 0.05
    assert found.decision == "inconclusive"
    assert "begins at -" in found.reasons[0]
    assert "takes about" in " ".join(found.reasons)


def test_the_test_must_agree_with_the_interval() -> None:
    """Five examples can reach p=0.0625 at best, so they never promote."""
    found = decide(report(LOW[:5], GOOD[:5]), QUICK)
    assert found.evidence.seen_low > 0
    assert found.decision == "inconclusive"
    assert "with 5 not even a perfect score" in found.reasons[0]
    assert "about 7 examples" in " ".join(found.reasons)


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
    found = decide(score_pairs(before, [*after, failed], QUICK), QUICK)
    assert any("fails more often: 1" in reason for reason in found.reasons)


def test_a_metric_without_rubric_skips_the_target() -> None:
    """Without rubric the target cannot apply."""
    before = [record(i, s, rubric=None) for i, s in enumerate(LOW)]
    after = [record(i, s, rubric=None) for i, s in enumerate(GOOD)]
    found = decide(score_pairs(before, after, QUICK), QUICK)
    assert found.decision == "promote"
    assert not any("rubric" in reason for reason in found.reasons)


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


def test_a_mean_of_part_of_the_testset_meets_no_bound() -> None:
    """Two good answers of twenty do not pass; a lower coverage can be allowed."""
    part = report([0.5] * 20, [0.9] * 2 + [None] * 18)
    with pytest.raises(BelowBoundError, match=r"coverage=1 is not met.*0\.1000"):
        check_fail_below(part, FailBelow(rubric=0.8))
    check_fail_below(part, FailBelow(rubric=0.8, coverage=0.1))
    check_fail_below(part, FailBelow())


def test_tokens_and_seconds_have_bounds_above() -> None:
    """A program that answers well but slowly or at length misses them."""
    slow = [record(i, 0.9, seconds=float(i), prompt_tokens=1) for i in range(20)]
    calls = Usage(paid=20, prompt_tokens=1000, completion_tokens=1000)
    found = score_pairs(slow, slow, QUICK, usage={"optimized": calls})
    check_fail_below(found, FailBelow(), FailAbove(tokens_per_call=100, p95_seconds=19))
    with pytest.raises(BelowBoundError, match=r"tokens_per_call=99.*is 100\.0"):
        check_fail_below(found, FailBelow(), FailAbove(tokens_per_call=99))
    with pytest.raises(BelowBoundError, match=r"p95_seconds=18 is not met.*18\.05"):
        check_fail_below(found, FailBelow(), FailAbove(p95_seconds=18))
    unknown = report([0.5] * 3, [0.9] * 3)
    with pytest.raises(BelowBoundError, match="every answer was cached"):
        check_fail_below(unknown, FailBelow(), FailAbove(tokens_per_call=99))


def test_an_unmeasured_value_meets_no_bound() -> None:
    """A rubric bound on a metric without rubric fails instead of passing silently."""
    plain = score_pairs(
        [record(0, 0.5, rubric=None)], [record(0, 0.5, rubric=None)], QUICK
    )
    with pytest.raises(BelowBoundError, match="was not measured"):
        check_fail_below(plain, FailBelow(rubric=0.5))


def test_a_tiny_p_is_not_shown_as_zero() -> None:
    """Four digits are not enough for what a worn testset asks."""
    worn = Judgement.at(8, 1, 0.05)
    found = decide(report([0.3] * 40, [0.95] * 40, judgement=worn), QUICK)
    assert found.decision == "promote"
    assert "p=1e-05" in found.reasons[0]
    assert "the 8th judgement" in " ".join(found.reasons)


def test_a_program_without_a_usable_answer_is_remarked() -> None:
    """A baseline that is called wrongly is beaten by anything."""
    failed = [record(i, 0.0, status="failed", reason="TypeError") for i in range(12)]
    found = decide(score_pairs(failed, records([0.9] * 12, "optimized"), QUICK), QUICK)
    (remark,) = [
        reason for reason in found.reasons if "its predictions say why" in reason
    ]
    assert remark.startswith("No answer of the baseline could be used")
