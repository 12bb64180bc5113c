"""A score is a float to DSPy, with its parts for people."""

import copy
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from po_optimizer.roles.score import Score, ScoreError

FULL = Score(0.5, {"a": 1.0, "b": 0.0}, rubric=0.6, feedback="b fails", unusable=None)


class WithFeedback:
    """As DSPy's ScoreWithFeedback has it."""

    score = 0.25
    feedback = "so so"


@given(st.floats(0, 1))
def test_score_is_its_number(number):
    """Sums, comparisons and DSPy's averages see a float."""
    score = Score(number)
    assert score == score.value == number
    assert type(score.value) is float
    assert sum([score, score]) == number + number


@given(st.floats().filter(lambda x: not -1e-6 <= x <= 1 + 1e-6))
def test_number_outside_the_range_is_refused(number):
    """NaN, infinities and negative numbers are no scores."""
    with pytest.raises(ScoreError, match=r"lies in \[0, 1\]"):
        Score(number)


@pytest.mark.parametrize(
    "parts",
    [{"components": {"words": 12}}, {"components": {"a": None}}, {"rubric": -0.5}],
)
def test_parts_outside_the_range_are_refused(parts):
    """Before anything is paid, not when the answers are stored."""
    with pytest.raises(ScoreError, match=r"lies in \[0, 1\]"):
        Score(0.5, **parts)


def pickled(score):
    """The score after a journey to another process."""
    return pickle.loads(pickle.dumps(score))  # noqa: S301 -- made right here


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, pickled])
def test_copies_keep_every_part(twin):
    """DSPy copies predictions and sends them between processes."""
    other = twin(FULL)
    for name in ("value", "components", "rubric", "feedback", "unusable"):
        assert getattr(other, name) == getattr(FULL, name)


@pytest.mark.parametrize(("result", "value"), [(1, 1.0), (True, 1.0), (0.25, 0.25)])
def test_plain_numbers_are_scores(result, value):
    """Metrics of other projects return floats and bools."""
    score = Score.of(result)
    assert score.value == value
    assert (score.components, score.rubric, score.unusable) == ({}, None, None)


def test_score_stays_itself():
    """Nothing is lost on the way."""
    assert Score.of(FULL) is FULL


def test_feedback_of_dspys_scores_is_kept():
    """GEPA's metrics return a number with feedback."""
    score = Score.of(WithFeedback())
    assert (score.value, score.feedback) == (0.25, "so so")


@pytest.mark.parametrize("result", [None, "0.5", [1.0], {}])
def test_other_results_are_refused_by_type(result):
    """A metric that forgets its return is told so, not scored 0.0."""
    with pytest.raises(ScoreError, match=type(result).__name__):
        Score.of(result)


@pytest.mark.parametrize("result", [math.nan, 1.5, -0.1])
def test_numbers_out_of_range_are_refused(result):
    """A percentage is no score."""
    with pytest.raises(ValueError, match="lies in"):
        Score.of(result)
