"""Racing spares the examples of candidates that cannot win, and loses no winner."""

import re

import pytest

from po_optimizer.errors import PreflightError
from po_optimizer.optimization import preflight
from po_optimizer.optimization.journal import read_journal
from po_optimizer.optimization.optimizers.racing import BLOCK, is_hopeless
from po_optimizer.params import Miprov2Params
from po_optimizer.reporting.figures import history_figure
from tests.optimization import world

N_VAL = 3 * BLOCK
SIZES = {"num_candidates": 4, "num_trials": 6}


def by_variant(prompt):
    """A program is as good as its instructions, give or take a digit an example."""
    variant = re.search(r"variant (\d+)", prompt)
    good = int(variant[1]) % 9 if variant else 5
    digit = good + len(prompt) % 2
    return f'{{"answer": "{digit}"}}'


def search(folder, *, racing, respond=by_variant):
    """One search with enough examples to race."""
    lm = world.lm(folder, world.task_only(respond))
    params = world.settings(miprov2={**SIZES, "racing": racing})
    return world.run(folder, lm, params, n_val=N_VAL)


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A search with racing and its journal."""
    result = search(tmp_path_factory.mktemp("raced"), racing=True)
    return result, result.trials


def test_it_is_off_unless_asked_for():
    """It changes which scores the sampler learns from."""
    assert Miprov2Params().racing is False


@pytest.mark.parametrize(
    ("scores", "best", "hopeless"),
    [
        ([0.1, 0.2, 0.1, 0.2], [0.9, 0.8, 0.9, 0.9, 0.1], True),
        ([0.1, 0.2, 0.1, 0.2], [0.1, 0.2, 0.1, 0.2], False),
        ([0.9, 0.8, 0.9, 0.9], [0.1, 0.2, 0.1, 0.2], False),
        ([0.0, 0.9, 0.1, 0.8], [0.2, 0.8, 0.2, 0.8], False),
        ([0.25, 0.5], [0.5, 0.75], True),
        ([0.5, 0.5], [0.5, 0.5], False),
        ([0.1, 0.1], [], False),
    ],
)
def test_what_is_hopeless(scores, best, hopeless):
    """The interval of the paired difference lies below 0; a tie is no reason."""
    assert is_hopeless(scores, best) is hopeless


def test_losers_are_given_up_and_the_winner_is_the_same(raced, tmp_path):
    """Fewer calls, the same program with the same score on the whole valset."""
    result, journal = raced
    whole = search(tmp_path / "whole", racing=False)
    assert world.document(result.program) == world.document(whole.program)
    assert result.report.best.score == whole.report.best.score
    assert result.report.best.n == N_VAL
    assert result.report.spent.paid < whole.report.spent.paid
    assert any(trial.kind == "raced" for trial in journal)


def test_journal_says_how_far_a_loser_came(raced):
    """Its score is comparable to whole ones, and below the best."""
    _, journal = raced
    for trial in journal:
        if trial.kind == "raced":
            assert trial.n in {BLOCK, 2 * BLOCK}
            assert trial.score < trial.best
        else:
            assert trial.n == N_VAL
    names = {
        trace.name for trace in history_figure([t.model_dump() for t in journal]).data
    }
    assert "raced" in names


def test_threads_decide_nothing(raced, tmp_path):
    """Looks come after so many examples, however many are asked at a time."""
    _, journal = raced
    lm = world.lm(tmp_path / "t", world.task_only(by_variant), num_threads=4)
    params = world.settings(miprov2={**SIZES, "racing": True})
    world.run(tmp_path / "t", lm, params, n_val=N_VAL)
    again = read_journal(tmp_path / "t" / "trials.jsonl")
    assert [t.kind for t in again] == [t.kind for t in journal]
    assert all(one.same_as(other) for one, other in zip(again, journal, strict=True))


def test_search_that_was_cut_off_goes_on_alike(raced, tmp_path):
    """The LM fails in the middle; the second command ends with the same journal."""
    _, journal = raced
    folder = tmp_path / "cut"
    failing = world.failing_after(45, ConnectionError("gone"), by_variant)
    with pytest.raises(Exception, match="gone"):
        search(folder, racing=True, respond=failing)
    search(folder, racing=True)
    again = read_journal(folder / "trials.jsonl")
    assert all(one.same_as(other) for one, other in zip(again, journal, strict=True))


def test_minibatches_are_not_raced(tmp_path):
    """Both spare examples: one of them has to be chosen."""
    params = world.settings(
        miprov2={"racing": True, "minibatch": True, "minibatch_size": 4}
    )
    with pytest.raises(PreflightError, match=r"miprov2\.racing"):
        preflight(world.job(world.lm(tmp_path), params))
