from collections.abc import Iterator

import pytest

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.paired_scores import score_pairs
from po_optimizer.evaluation.predictions import PredictionRecord, Which
from po_optimizer.evaluation.score_report import ScoreReport, Selection
from po_optimizer.lms.usage import Usage
from tests.evaluation.scripted import QUICK, record, records, report

LOW = [0.2, 0.3, 0.4, 0.5, 0.35, 0.25, 0.45, 0.3]
HIGH = [0.6, 0.5, 0.9, 0.7, 0.65, 0.55, 0.85, 0.2]


def test_the_uplift_is_the_mean_of_the_paired_differences() -> None:
    """Uplift, wins and losses come from the same examples of both programs."""
    uplift = report(LOW, HIGH).uplift
    assert uplift.score.mean == pytest.approx(sum(HIGH) / 8 - sum(LOW) / 8)
    assert (uplift.n_better, uplift.n_equal, uplift.n_worse) == (7, 0, 1)
    assert uplift.score.interval.low < uplift.score.mean < uplift.score.interval.high


def test_rounding_noise_is_no_difference() -> None:
    """Scores that differ in the 16th digit are equal, not better."""
    uplift = report([0.1 + 0.2] * 4, [0.3] * 4).uplift
    assert uplift.n_equal == 4
    assert uplift.test.p_value == 1.0


def test_failed_counts_as_zero_in_every_mean() -> None:
    """A failed answer without parts is 0.0 in score, rubric and each component."""
    before = records([1.0, 1.0, 1.0], "baseline")
    failed = record(0, 0.0, status="failed", rubric=None, components={})
    after = score_pairs(before, [failed, *before[1:]], QUICK).optimized
    means = (after.score.mean, after.rubric.mean, after.components["schema"].mean)
    assert means == pytest.approx((2 / 3,) * 3)
    assert after.n_failed == 1
    assert after.coverage == 1.0


def test_unscored_is_in_no_mean_and_lowers_coverage() -> None:
    """An unscored example leaves the means alone and the pair out of the uplift."""
    found = report([0.5, 0.5, 0.5, None], [1.0, 1.0, 1.0, 1.0])
    assert found.baseline.score.mean == 0.5
    assert found.baseline.n_unscored == 1
    assert found.baseline.coverage == 0.75
    assert found.uplift.score.n == 3


def test_strata_have_their_own_means() -> None:
    """Each tier has a mean for both programs and an uplift."""
    found = report(LOW, HIGH)
    assert set(found.baseline.strata["tier"]) == {"simple", "medium"}
    assert found.uplift.strata["tier"]["simple"].n == 4


def test_records_of_other_examples_are_refused() -> None:
    """Different examples or lengths cannot be compared, and the error says which."""
    before = records([0.5, 0.5], "baseline")
    with pytest.raises(PoOptimizerError, match="'E0' beside 'X'"):
        score_pairs(before, [record(0, 0.5, example_id="X"), before[1]], QUICK)
    with pytest.raises(PoOptimizerError, match="2 of the baseline, 1 of"):
        score_pairs(before, before[:1], QUICK)


def test_a_reference_of_other_examples_is_refused() -> None:
    """Predictions of another testset are noticed by their number or their ids."""
    with pytest.raises(PoOptimizerError, match="3 examples in the testset"):
        report(LOW, HIGH, reference=records([0.9] * 3, "reference"))


def test_records_are_read_once_and_side_by_side() -> None:
    """Streams do: no list of records is made of them."""
    drawn: list[int] = []

    def stream(which: Which) -> Iterator[PredictionRecord]:
        for one in records(LOW, which):
            drawn.append(one.index)
            yield one

    found = score_pairs(stream("baseline"), stream("optimized"), QUICK)
    assert found == score_pairs(
        records(LOW, "baseline"), records(LOW, "optimized"), QUICK
    )
    assert drawn == [index for index in range(len(LOW)) for _ in range(2)]


def test_more_records_than_a_block_are_one_table() -> None:
    """Components that only some blocks have are those records' own."""
    before = records([0.5] * 2500, "baseline")
    before[2400] = record(2400, 0.5, components={"rare": 1.0})
    found = score_pairs(before, before, QUICK).baseline
    assert (found.n_examples, found.components["rare"].n) == (2500, 1)
    assert found.components["schema"].n == 2499


def test_a_metric_without_rubric_has_no_rubric_mean() -> None:
    """Where no record has a rubric the report has none either, not a 0."""
    plain = [record(i, 0.5, rubric=None) for i in range(3)]
    assert score_pairs(plain, plain, QUICK).optimized.rubric is None


def test_the_references_are_the_ceiling() -> None:
    """Reference records are summarized beside the programs under their own name."""
    found = report(LOW, HIGH, reference=records([0.99] * 8, "reference"))
    assert found.reference.which == "reference"
    assert found.reference.score.mean == pytest.approx(0.99)


def test_the_noise_floor_needs_the_selection() -> None:
    """With K and n of the valset the report says what selection alone would add."""
    chosen = Selection(n_candidates=4, n_valset=6)
    assert report(LOW, HIGH).noise_floor is None
    assert report(LOW, HIGH, selection=chosen).noise_floor > 0


def test_usage_is_read_from_totals() -> None:
    """What each program's calls took stands in the report."""
    totals = Usage(paid=3, cached=1, cost_usd=None, seconds=9.0)
    found = report(LOW, HIGH, usage={"baseline": totals})
    assert found.baseline.usage.paid == 3
    assert found.baseline.usage.cost_usd is None
    assert found.optimized.usage is None


def test_seconds_per_example_leave_cached_answers_out() -> None:
    """Only answers that reported tokens tell how long the LM takes."""
    slow = record(0, 0.5, seconds=10.0, prompt_tokens=5)
    cached = record(1, 0.5, seconds=0.01)
    assert score_pairs([slow, cached], [slow, cached], QUICK).baseline == (
        score_pairs([slow, cached], [slow, cached], QUICK).optimized
    )
    assert score_pairs(
        [slow, cached], [slow, cached], QUICK
    ).baseline.seconds_per_example == pytest.approx(10.0)


def test_a_report_survives_json() -> None:
    """`score_report.json` read back is the report that was written."""
    found = report(LOW, HIGH, selection=Selection(n_candidates=4, n_valset=6))
    assert ScoreReport.model_validate_json(found.model_dump_json()) == found


def test_the_same_seed_gives_the_same_report() -> None:
    """Resampling is seeded: two comparisons of the same records are equal."""
    assert report(LOW, HIGH) == report(LOW, HIGH)


def test_a_report_of_before_is_read() -> None:
    """Without what is recorded since, and with its own methods of intervals."""
    stored = report(LOW, HIGH).model_dump(mode="json")
    del stored["judgement"], stored["uplift"]["seen"]
    for which in ("baseline", "optimized"):
        for name in ("p95_seconds", "n_repeats", "sd_repeats"):
            del stored[which][name]
        stored[which]["score"]["interval"]["method"] = "clopper_pearson"
    stored["uplift"]["score"]["interval"]["method"] = "abc"
    found = ScoreReport.model_validate(stored)
    assert found.alpha == 0.05
    assert found.optimized.n_repeats == 1
