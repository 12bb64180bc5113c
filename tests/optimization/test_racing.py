"""Racing asks where answers help most, and gives up what is worse."""

import random
import re
import threading

import pytest

from po_optimizer.optimization.optimizers.racing import BLOCK, Race
from po_optimizer.reporting.figures import history_figure
from tests.optimization import world

N_VAL = 3 * BLOCK
SIZES = {"num_candidates": 5, "num_trials": 8}


def by_variant(prompt):
    """A program is as good as its instructions, give or take a digit an example."""
    variant = re.search(r"variant (\d+)", prompt)
    good = int(variant[1]) % 9 if variant else 5
    digit = good + len(prompt) % 2
    return f'{{"answer": "{digit}"}}'


def search(folder, *, racing=True, respond=by_variant, threads=1):
    """One search with enough examples to race."""
    lm = world.lm(folder, world.task_only(respond), num_threads=threads)
    params = world.settings(miprov2={**SIZES, "racing": racing})
    return world.run(folder, lm, params, n_val=N_VAL)


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A search with racing."""
    return search(tmp_path_factory.mktemp("raced"))


def race(quality, *, choices=((0, 1, 2), (0, 1, 2)), n=40, bound=400):
    """A race of candidates whose answers are right so often."""
    dice = random.Random(3)  # noqa: S311

    def answers(candidate, count):
        return [float(dice.random() < quality(candidate)) for _ in range(count)]

    made = Race(choices, answers((0,) * len(choices), n), bound, seed=9)
    asked = {}
    while (look := made.next()) is not None:
        count = look.examples - asked.get(look.candidate, 0)
        asked[look.candidate] = look.examples
        made.add(look.candidate, answers(look.candidate, count))
    return made, asked


def test_the_best_pair_is_evaluated_whole():
    """Also where it takes the right instructions and the right demos together."""
    made, asked = race(lambda c: 0.3 + 0.3 * (c[0] == 2) + 0.3 * (c[1] == 1))
    whole = [candidate for candidate, n in asked.items() if n == 40]
    assert max(whole, key=made.score) == (2, 1)


def test_one_example_is_enough_to_race():
    """There is no spread between examples to learn from."""
    made, asked = race(lambda c: 1.0, n=1)
    assert asked
    assert all(made.score(candidate) == 1.0 for candidate in asked)


def test_what_is_clearly_worse_is_given_up():
    """It says why, and how many were."""
    made, asked = race(lambda c: 0.05 if c[0] else 0.9)
    assert sum(asked.values()) < 100
    reason = made.add((1, 2), [0.0] * 16)
    assert re.fullmatch(r"0\.\d\d below the best, \d+\.\d standard errors", reason)
    assert "given up as worse" in made.describe()


@pytest.mark.parametrize("bound", [40, 80, 120])
def test_no_more_is_asked_than_allowed(bound):
    """And the best has still been evaluated whole, if it is not the start."""
    made, asked = race(lambda c: 0.5 + 0.02 * sum(c), bound=bound)
    assert 0 < sum(asked.values()) <= bound
    assert 40 in asked.values() or made.score((0, 0)) >= max(map(made.score, asked))


def test_of_alike_best_ones_one_is_evaluated_whole():
    """Each of their looks in turn would use up what one of them needs."""
    pairs = ((0, 1, 2),) * 4
    for first in range(20):
        dice = random.Random(first)  # noqa: S311

        def answers(candidate, count, dice=dice):
            good = 0.85 if candidate[0] and candidate[2] else 0.4
            return [float(dice.random() < good) for _ in range(count)]

        made = Race(pairs, answers((0,) * 4, 39), 4 * 39, seed=first)
        asked = {}
        while (look := made.next()) is not None:
            count = look.examples - asked.get(look.candidate, 0)
            asked[look.candidate] = look.examples
            made.add(look.candidate, answers(look.candidate, count))
        assert max(asked.values()) == 39


def test_many_predictors_are_raced():
    """Far more candidates than could be tried: parts are learned about, not pairs."""
    choices = ((0, 1, 2, 3, 4, 5),) * 4
    made, asked = race(lambda c: 0.2 + 0.04 * sum(c), choices=choices, bound=1000)
    best = max((c for c, n in asked.items() if n == 40), key=made.score)
    assert sum(best) > 14


def test_the_winner_is_as_good_as_without(raced, tmp_path):
    """Its score on the whole valset is no worse than by DSPy's search."""
    whole = search(tmp_path, racing=False)
    assert raced.report.best.score >= whole.report.best.score
    assert raced.report.best.n == N_VAL


def test_journal_says_how_far_a_candidate_came(raced):
    """Why it was given up; and the report, what became of all."""
    parts = [t for t in raced.trials if t.kind in ("minibatch", "raced")]
    assert {t.n for t in parts} <= set(range(BLOCK, N_VAL, BLOCK))
    assert all(bool(t.reason) == (t.kind == "raced") for t in raced.trials)
    assert "candidates tried" in raced.report.reason
    rows = [t.model_dump() for t in raced.trials]
    assert {t.kind for t in parts} <= {
        trace.name for trace in history_figure(rows).data
    }


def test_no_answer_is_asked_for_twice(raced):
    """A candidate goes on where it stopped."""
    paid = {}
    for t in raced.trials:
        key = (*t.instruction, *t.demo_set)
        paid[key] = paid.get(key, 0) + t.calls_paid
        assert paid[key] == t.n


def test_threads_decide_nothing(raced, tmp_path):
    """Looks come after so many examples, however many are asked at a time."""
    again = search(tmp_path, threads=4).trials
    assert all(a.same_as(b) for a, b in zip(again, raced.trials, strict=True))


def test_the_next_look_is_asked_for_while_answers_come(tmp_path):
    """No place of the LM is idle because a candidate's last answer is waited for."""
    asked, arrived = [], threading.Event()

    def answer(prompt):
        if "care" in prompt:
            asked.append(prompt)
            if len(asked) > BLOCK:
                arrived.set()
            assert arrived.wait(30)
        return by_variant(prompt)

    result = search(tmp_path, respond=answer, threads=BLOCK + 1)
    assert len(result.trials) > 2


def test_search_that_was_cut_off_goes_on_alike(raced, tmp_path):
    """The LM fails in the middle; the second command ends with the same journal."""
    failing = world.failing_after(55, ConnectionError("gone"), by_variant)
    with pytest.raises(Exception, match="gone"):
        search(tmp_path, respond=failing)
    again = search(tmp_path).trials
    assert all(a.same_as(b) for a, b in zip(again, raced.trials, strict=True))


def test_equal_candidates_are_one(tmp_path):
    """Instructions that were proposed twice are not paid for twice."""
    same = '{"proposed_instruction": "Answer well.", "answer": "5"}'
    lm = world.lm(tmp_path, lambda prompt: same)
    result = world.run(tmp_path, lm, world.settings(miprov2=SIZES), n_val=N_VAL)
    assert (
        len({(*t.instruction, *t.demo_set) for t in result.trials})
        <= 2 * SIZES["num_candidates"]
    )
    assert {t.instruction[0] for t in result.trials} <= {0, 1}
