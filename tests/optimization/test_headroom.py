"""What is to be gained, estimated before it is paid for."""

import json
import re
import signal
from pathlib import Path

import dspy
import numpy as np
import pytest

from po_optimizer.errors import InterruptedRunError, PoOptimizerError
from po_optimizer.optimization.forecast import Forecast, forecast
from po_optimizer.optimization.headroom import SHARE, expected_gain, with_headroom
from tests.optimization import world
from tests.scripted import Answer

LARGE = {"num_candidates": 10, "num_trials": 12}


def graded(better: int) -> Answer:
    """Answers 4; with demos or written instructions `better` more."""

    def answer(prompt: str) -> str:
        questions = re.findall(r"\b[tv]\d+\b", prompt)
        changed = "variant" in prompt or len(questions) > 1
        return json.dumps({"answer": str(4 + better * changed)})

    return world.task_only(answer)


def asked(
    folder: Path, answer: Answer, optimizer: str = "miprov2", **settings: object
) -> Forecast:
    """A forecast with the headroom of the small world's search."""
    chosen = settings or LARGE
    params = world.settings(optimizer, headroom=True, **{optimizer: chosen})
    job = world.job(world.lm(folder, answer), params, n_train=30, n_val=30)
    return with_headroom(job, forecast(job))


def test_tells_gain_from_none(tmp_path: Path) -> None:
    """Where every change helps a gain is expected, where none does it is not."""
    helps = asked(tmp_path / "a", graded(+4)).headroom
    harms = asked(tmp_path / "b", graded(-4)).headroom
    assert helps is not None
    assert harms is not None
    assert helps.gain > 0.2 > helps.probability_none
    assert harms.gain < 0.05
    assert harms.probability_none > 0.8
    assert "expected gain +0." in helps.describe()


def test_takes_a_share_of_the_calls(tmp_path: Path) -> None:
    """The ledger holds no more calls than the share of the search's."""
    expected = asked(tmp_path, graded(+4))
    ledger = world.lm(tmp_path).meter.ledger
    assert 0 < ledger.totals(stage="headroom").calls <= SHARE * expected.calls.upper


def test_takes_its_share_of_a_program_of_three_steps(tmp_path: Path) -> None:
    """Instructions are rewritten for each step, and every rewrite is counted."""

    class Three(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = [dspy.Predict("question -> answer") for _ in range(3)]

        def forward(self, question: str) -> dspy.Prediction:
            return [step(question=question) for step in self.steps][-1]

    params = world.settings(headroom=True, miprov2=LARGE)
    lm = world.lm(tmp_path, graded(+4))
    job = world.job(lm, params, n_train=30, n_val=30, student=Three())
    expected = with_headroom(job, forecast(job))
    assert expected.headroom is not None
    calls = lm.meter.ledger.totals(stage="headroom").calls
    assert 0 < calls <= SHARE * expected.calls.upper


def test_counts_in_the_budget(tmp_path: Path) -> None:
    """Its calls are the optimization's own: a bound that they reach ends it unknown."""
    params = world.settings(headroom=True, miprov2=LARGE, budget={"max_calls": 9})
    lm = world.lm(tmp_path, graded(+4))
    job = world.job(lm, params, n_train=30, n_val=30)
    assert with_headroom(job, forecast(job)).headroom is None
    assert lm.meter.ledger.totals().paid == 9


def test_ctrl_c_ends_it_in_order(tmp_path: Path) -> None:
    """A run that is stopped here says so as everywhere, and resumes."""
    begun = iter(range(1000))

    def stopping(prompt: str) -> str:
        if next(begun) == 20:
            signal.raise_signal(signal.SIGINT)
        return graded(+4)(prompt)

    with pytest.raises(InterruptedRunError):
        asked(tmp_path, stopping)


def test_is_not_estimated_unasked(tmp_path: Path) -> None:
    """A forecast that was not asked for its headroom makes no call."""
    lm = world.lm(tmp_path)
    job = world.job(lm, world.settings(miprov2=LARGE), n_train=30, n_val=30)
    assert with_headroom(job, forecast(job)) == forecast(job)
    assert lm.meter.ledger.totals().calls == 0


def test_unreadable_rewrites_change_nothing(tmp_path: Path) -> None:
    """A prompt LM that writes nothing readable leaves the demos to try."""
    answer = lambda prompt: graded(+4)(prompt) if world.is_task(prompt) else "?"  # noqa: E731
    assert asked(tmp_path, answer).headroom is not None


def test_tries_instructions_alone_for_gepa(tmp_path: Path) -> None:
    """An optimizer that sets no demos is not tried with demos."""
    budget = {"max_full_evals": None, "max_metric_calls": 400}
    headroom = asked(tmp_path, graded(+4), "gepa", **budget).headroom
    assert headroom is not None
    assert headroom.gain > 0.1


def test_stays_unknown_where_the_search_is_small(tmp_path: Path) -> None:
    """A search of a few trials costs less than to know what it could gain."""
    assert asked(tmp_path, graded(+4), num_trials=1, num_candidates=2).headroom is None


def test_lm_out_of_reach_is_an_error(tmp_path: Path) -> None:
    """Nothing is estimated from answers that could not be had."""
    down = world.failing_after(0, ConnectionError("refused"))
    with pytest.raises(PoOptimizerError, match="refused"):
        asked(tmp_path, down)


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_gain_stays_in_the_range_of_scores(start: float) -> None:
    """No score rises above 1, and equal scores leave the gain small and open."""
    scores = np.full((6, 5), start)
    headroom = expected_gain(scores, 12, 30, seed=9)
    assert -start <= headroom.low <= headroom.gain <= headroom.high <= 1.0 - start
    assert 0.0 < headroom.probability_none <= 1.0
