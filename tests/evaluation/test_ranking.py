"""Runs by their testset scores, and what may be said of the best."""

import numpy as np
import pytest

from po_optimizer.evaluation.estimates import Origin
from po_optimizer.evaluation.promotion import decide
from po_optimizer.evaluation.ranking import FinishedRun, rank
from po_optimizer.params.evaluate import PromotionParams
from tests.evaluation.scripted import report

QUICK = PromotionParams(num_resamples=1000, target_rubric=0.0, num_compared=3)
BASELINE = [0.3, 0.4, 0.5, 0.35, 0.45, 0.4, 0.3, 0.5, 0.4, 0.45]
HERE = Origin(testset="a" * 64, metric="m {}", program="p")
ELSEWHERE = HERE.model_copy(update={"testset": "b" * 64})
SEARCH = {
    "optimizer": "miprov2",
    "seed": 9,
    "best": {"score": 0.7},
    "seconds": 12.0,
    "instructions": ["one"],
}


def finished(name, scores, *, origin=HERE, spent=None, **fields):
    """A run whose optimized program has these scores."""
    made = report(BASELINE, scores, QUICK)
    return FinishedRun(
        name=name,
        lm="lm",
        report=made.model_copy(update={"origin": origin}),
        scores=scores,
        decision=decide(made, QUICK).decision,
        search=SEARCH | {"spent": spent or {"paid": 20}},
        **fields,
    )


def better(by):
    """The baseline's scores, raised by about as much."""
    rng = np.random.default_rng(3)
    return [score + by + 0.01 * float(rng.standard_normal()) for score in BASELINE]


def test_best_mean_comes_first():
    """The order is that of the objective on the testset."""
    ranking = rank([finished("low", BASELINE), finished("high", better(0.3))])
    assert [run.name for run in ranking.runs] == ["high", "low"]
    assert ranking.runs[0].behind is None
    assert ranking.runs[1].behind.mean > 0.25
    assert ranking.sentences[0].startswith("Highest score: high")


def test_winner_is_promoted_at_a_shared_alpha():
    """A clear uplift passes; its alpha is that of three programs together."""
    ranking = rank([finished("high", better(0.4)), finished("low", BASELINE)])
    assert ranking.winner == "high"
    assert ranking.confidence == 0.95
    assert report(BASELINE, BASELINE, QUICK).alpha == pytest.approx(
        0.05 * 251 / 216 / 3
    )
    assert "high may be promoted" in ranking.sentences[0]


def test_nobody_wins_where_nothing_is_better():
    """The first place alone proves nothing."""
    ranking = rank([finished("one", BASELINE), finished("two", list(BASELINE))])
    assert ranking.winner is None
    assert "No program's uplift" in ranking.sentences[0]


def test_runs_that_cannot_be_told_apart_are_tied():
    """A difference that the test of all pairs does not prove is said to be none."""
    rng = np.random.default_rng(1)
    noisy = [s + 0.1 * float(rng.standard_normal()) for s in better(0.2)]
    ranking = rank([finished("one", better(0.21)), finished("two", noisy)])
    assert ranking.runs[1].tied
    assert any("cannot be told from" in text for text in ranking.sentences)


def test_clear_difference_is_no_tie():
    """Ten examples, each 0.3 lower."""
    ranking = rank([finished("high", better(0.4)), finished("low", better(0.1))])
    assert ranking.runs[1].p_behind < 0.01
    assert not ranking.runs[1].tied


def test_unscored_examples_are_left_out_of_the_difference():
    """A pair needs both scores."""
    runs = [finished("one", better(0.3)), finished("two", [None, *BASELINE[1:]])]
    assert rank(runs).runs[1].behind.n == len(BASELINE) - 1


def test_what_choosing_adds_is_said():
    """The best of several equal programs looks better than it is."""
    ranking = rank([finished("one", better(0.3)), finished("two", better(0.2))])
    assert ranking.noise_floor > 0
    assert f"{ranking.noise_floor:.3f}" in ranking.sentences[-1]


def test_unknown_cost_stays_unknown():
    """It is not zero; reports of earlier versions are read."""
    spent = {"calls_paid": 20, "cost_usd": None}
    run = rank([finished("one", better(0.3), spent=spent)]).runs[0]
    assert (run.search.paid, run.search.cost_usd) == (20, None)


@pytest.mark.parametrize("origin", [ELSEWHERE, None])
def test_other_testset_is_shown_but_not_ranked(origin):
    """A higher mean on other examples says nothing."""
    apart = finished("apart", better(0.4), origin=origin)
    ranking = rank([finished("a", BASELINE), finished("b", better(0.1)), apart])
    assert [run.ranked for run in ranking.runs] == [True, True, False]
    assert ranking.runs[-1].name == "apart"
    assert "Not ranked" in ranking.sentences[-1]


def test_reports_without_an_origin_are_not_ranked_among_each_other():
    """What was not recorded cannot be the same."""
    runs = [finished(name, BASELINE, origin=None) for name in "ab"]
    ranking = rank(runs)
    assert not any(run.ranked for run in ranking.runs)
    assert len(ranking.sentences) == 1


@pytest.mark.parametrize("scores", [[], better(0.4)])
def test_predictions_of_another_evaluation_are_not_compared(scores):
    """Gone, or replaced by a run that did not come to its report."""
    run = finished("a", better(0.3)).model_copy(update={"scores": scores})
    assert not rank([run]).runs[0].ranked


def test_examples_of_a_group_are_one_together():
    """Ten examples tell the two apart; two groups of five do not."""
    runs = [finished("high", better(0.4)), finished("low", better(0.1))]
    assert not rank(runs).runs[1].tied
    groups = ["a"] * 5 + ["b"] * 5
    grouped = [run.model_copy(update={"groups": groups}) for run in runs]
    assert rank(grouped).runs[1].p_behind == 0.5
    assert rank(grouped).runs[1].tied
