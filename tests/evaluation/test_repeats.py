import itertools
import json
from pathlib import Path

import dspy
import pytest

from po_optimizer.evaluation.paired_scores import score_pairs
from po_optimizer.evaluation.predict import predict_all
from po_optimizer.evaluation.predictions import mean_of_repeats
from po_optimizer.roles.score import Score
from tests.evaluation.scripted import QUICK, record
from tests.scripted import scripted_lm


def metric(example: dspy.Example, prediction: dspy.Prediction) -> Score:
    """The answer's digit over 9."""
    return Score(int(prediction.answer) / 9)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_each_repeat_is_asked_once_and_kept(tmp_path: Path, temperature: float) -> None:
    """Three answers an example, their mean its score; the second run asks none."""
    digits = itertools.cycle("360")
    lm = scripted_lm(
        lambda prompt: json.dumps({"answer": next(digits)}),
        tmp_path,
        temperature=temperature,
    )
    examples = [
        dspy.Example(question=q, answer="9").with_inputs("question") for q in "ab"
    ]

    def predict(repeats: int) -> list[float | None]:
        program = dspy.Predict("question -> answer")
        found = predict_all(
            program,
            examples,
            metric,
            lm,
            stage="evaluate",
            n=2,
            repeats=repeats,
        )
        return [one.score for one in found]

    assert predict(3) == pytest.approx([1 / 3, 1 / 3])
    assert lm.meter.ledger.totals().paid == 6
    assert predict(3) == pytest.approx([1 / 3, 1 / 3])
    assert predict(1) == pytest.approx([3 / 9, 3 / 9])
    assert lm.meter.ledger.totals().paid == 6


def test_a_failed_repeat_counts_as_zero() -> None:
    """The record stays usable, and says how many answers were not."""
    bad = record(0, 0.0, status="failed", reason="no digit", rubric=None, components={})
    found = mean_of_repeats([bad, record(0, 0.9)])
    assert (found.status, found.score, found.rubric) == ("ok", 0.45, 0.45)
    assert found.components == {"schema": 0.45}
    assert found.reason == "1 of 2 answers: no digit"
    assert found.outputs is not None


def test_an_unscored_repeat_is_left_out() -> None:
    """Only if no answer could be had the example is unscored."""
    lost = record(0, None, reason="refused")
    assert mean_of_repeats([lost, record(0, 0.9)]).score == 0.9
    assert mean_of_repeats([lost, lost]).status == "unscored"


def test_the_lms_own_variance_stands_apart() -> None:
    """The spread within an example is no spread between examples."""
    noisy = [
        mean_of_repeats([record(i, 0.4), record(i, 0.6, prompt_tokens=2)])
        for i in range(5)
    ]
    found = score_pairs(noisy, noisy, QUICK).baseline
    assert (found.n_repeats, found.score.sd) == (2, 0.0)
    assert found.sd_repeats == pytest.approx(0.02**0.5)
    assert (
        score_pairs([record(0, 0.5)], [record(0, 0.5)], QUICK).baseline.n_repeats == 1
    )
