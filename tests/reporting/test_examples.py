import random

import pytest

from po_optimizer.errors import PoOptimizerError
from po_optimizer.reporting.examples import (
    GAINS,
    LOSSES,
    MOST_SHOWN,
    NOT_OK,
    WORST,
    choose_cases,
    describe_choice,
)
from tests.evaluation.scripted import record, records

N = 1000


def _many() -> tuple[list, list]:
    """Scores of a thousand examples; 0 to 9 are unscored, 10 to 99 failed."""
    rng = random.Random(1)  # noqa: S311 -- made-up scores
    before = records([rng.random() for _ in range(N)], "baseline")
    after = records([rng.random() for _ in range(N)], "optimized")
    after[:10] = [record(i, None, which="optimized") for i in range(10)]
    after[10:100] = [record(i, 0.0, status="failed") for i in range(10, 100)]
    return before, after


def test_all_of_a_small_testset_are_shown() -> None:
    """Nothing is left out, and nothing is said about it."""
    before = records([0.5] * MOST_SHOWN, "baseline")
    assert len(choose_cases(before, before)) == MOST_SHOWN
    assert describe_choice(MOST_SHOWN, MOST_SHOWN) == ""


def test_of_a_large_one_the_telling_are_shown() -> None:
    """The largest losses and gains are there, and some that failed or are unscored."""
    before, after = _many()
    cases = choose_cases(before, after)
    assert MOST_SHOWN - NOT_OK - WORST <= len(cases) <= MOST_SHOWN
    every = sorted(
        (b.score - a.score, a.index)
        for a, b in zip(before, after, strict=True)
        if b.score is not None
    )
    shown = {case.before.index for case in cases}
    assert {index for _, index in every[:LOSSES]} <= shown
    assert {index for _, index in every[-GAINS:]} <= shown
    assert set(range(10)) <= shown


def test_losses_come_first_and_unscored_last() -> None:
    """It is what speaks against a promotion."""
    cases = choose_cases(*_many())
    differences = [case.difference for case in cases if case.difference is not None]
    assert differences == sorted(differences)
    assert [case.difference for case in cases[-10:]] == [None] * 10


def test_what_is_still_wrong_is_shown() -> None:
    """Among a thousand gains an example that both programs miss is not left out."""
    before, after = records([0.0] * N, "baseline"), records([1.0] * N, "optimized")
    after[500] = record(500, 0.0, which="optimized")
    assert 500 in {case.before.index for case in choose_cases(before, after)}


def test_an_example_without_loss_or_change_tells_nothing() -> None:
    """Of a thousand perfect scores no case is shown; of lower ones some are."""
    before = records([1.0] * N, "baseline")
    assert choose_cases(before, before) == []
    before = records([0.5] * N, "baseline")
    assert len(choose_cases(before, before)) == WORST
    assert describe_choice(0, N).startswith(
        f"0 of 1,000 examples: up to {LOSSES} largest losses"
    )


def test_records_of_other_examples_are_refused() -> None:
    """Two lists that do not pair are no cases."""
    before = records([0.5, 0.5], "baseline")
    with pytest.raises(PoOptimizerError):
        choose_cases(before, before[:1])
