"""Configurations by their testset scores, and what may be said of the best."""

import numpy as np
import pytest

from po_optimizer.evaluation.leaderboard import Finished, leaderboard_figure, rank
from po_optimizer.evaluation.promotion import decide
from po_optimizer.params import PromotionParams
from tests.evaluation.scripted import report

QUICK = PromotionParams(num_resamples=1000, target_rubric=0.0, num_compared=3)
BASELINE = [0.3, 0.4, 0.5, 0.35, 0.45, 0.4, 0.3, 0.5, 0.4, 0.45]


def finished(scores, *, seed=9, cost=0.0):
    """What a configuration with these scores left."""
    params = QUICK
    made = report(BASELINE, scores, params)
    search = {
        "fingerprint": {"task_lm.slug": "lm"},
        "optimizer": "miprov2",
        "seed": seed,
        "best": {"score": 0.7},
        "seconds": 12.0,
        "spent": {"calls_paid": 20, "cost_usd": cost},
    }
    return Finished(
        report=made, promotion=decide(made, params), search=search, scores=scores
    )


def better(by):
    """The baseline's scores, raised by about as much."""
    rng = np.random.default_rng(3)
    return [score + by + 0.01 * float(rng.standard_normal()) for score in BASELINE]


def test_best_mean_comes_first():
    """The order is that of the objective on the testset."""
    board = rank({"low": finished(BASELINE), "high": finished(better(0.3))})
    assert [entry.name for entry in board.entries] == ["high", "low"]
    assert board.entries[0].behind is None
    assert board.entries[1].behind.mean > 0.25


def test_winner_is_promoted_at_a_shared_alpha():
    """A clear uplift passes; its alpha is that of three programs together."""
    board = rank({"high": finished(better(0.4)), "low": finished(BASELINE)})
    assert board.winner == "high"
    assert board.confidence == 0.95
    assert finished(BASELINE).report.alpha == pytest.approx(0.05 * (49 / 36) / 3)
    assert "high may be promoted" in board.sentences[0]


def test_nobody_wins_where_nothing_is_better():
    """The first place alone proves nothing."""
    board = rank({"one": finished(BASELINE), "two": finished(list(BASELINE))})
    assert board.winner is None
    assert "No configuration" in board.sentences[0]


def test_entries_that_cannot_be_told_apart_are_tied():
    """A difference that the test of all pairs does not prove is said to be none."""
    rng = np.random.default_rng(1)
    noisy = [s + 0.1 * float(rng.standard_normal()) for s in better(0.2)]
    board = rank({"one": finished(better(0.21)), "two": finished(noisy)})
    assert board.entries[1].tied
    assert any("cannot be told from" in each for each in board.sentences)


def test_clear_difference_is_no_tie():
    """Ten examples, each 0.3 lower."""
    board = rank({"high": finished(better(0.4)), "low": finished(better(0.1))})
    assert board.entries[1].p_behind < 0.01
    assert not board.entries[1].tied


def test_unscored_examples_are_left_out_of_the_difference():
    """A pair needs both scores."""
    board = rank({"one": finished(better(0.3)), "two": finished([None, *BASELINE[1:]])})
    assert board.entries[1].behind.n == len(BASELINE) - 1


def test_what_choosing_adds_is_said():
    """The best of several equal programs looks better than it is."""
    board = rank({"one": finished(better(0.3)), "two": finished(better(0.2))})
    assert board.noise_floor > 0
    assert f"{board.noise_floor:.3f}" in board.sentences[-1]


def test_unknown_cost_stays_unknown():
    """It is not zero."""
    board = rank({"one": finished(better(0.3), cost=None)})
    assert board.entries[0].cost_usd is None


def test_figure_names_every_configuration_with_n():
    """A row each, the best at the top."""
    board = rank({"low": finished(BASELINE), "high": finished(better(0.3))})
    figure = leaderboard_figure(board)
    assert list(figure.layout.yaxis.ticktext) == ["high<br>n=10", "low<br>n=10"]
    assert "95.0%" in figure.layout.xaxis.title.text
