import re
import threading

import dspy
import pytest

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.stops import Interrupted
from tests.optimization import world

CONFIGURATIONS = [
    {"max_bootstrapped_demos": 3, "max_labeled_demos": 2, "num_candidates": 6},
    {"max_bootstrapped_demos": 3, "max_labeled_demos": 0, "num_candidates": 5},
    {"max_bootstrapped_demos": 0, "max_labeled_demos": 0, "num_candidates": 5},
    {"max_bootstrapped_demos": 0, "max_labeled_demos": 2, "num_candidates": 3},
    {"metric_threshold": 0.7, "max_bootstrapped_demos": 4, "num_candidates": 6},
    {
        "program_aware_proposer": True,
        "data_aware_proposer": True,
        "view_data_batch_size": 3,
        "num_candidates": 4,
    },
    {"num_candidates": None, "num_trials": None, "auto": "light"},
    {"num_candidates": 5, "num_trials": 14},
    {
        "num_candidates": 5,
        "num_trials": 4,
        "racing": False,
        "minibatch": True,
        "minibatch_size": 4,
    },  # drawn by the generator that the proposals used before
]


class Gathering:
    """An answer that keeps proposals back until so many are asked for at once."""

    def __init__(self, wanted):
        self.most, self._now, self._wanted = 0, 0, wanted
        self._changed = threading.Condition()

    def __call__(self, prompt):
        """The world's answer."""
        if not world.is_task(prompt):
            self._gather()
        return world.answer(prompt)

    def _gather(self):
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= self._wanted, timeout=30)
            self._now -= 1


@pytest.mark.parametrize("miprov2", CONFIGURATIONS)
def test_ahead_or_not_the_same_calls_are_paid(tmp_path, miprov2):
    """Same prompts, each paid once, same program, same journal as one at a time."""
    params = world.settings(miprov2={"num_trials": 1, **miprov2})
    outcomes = []
    for threads in (1, 8):
        folder = tmp_path / str(threads)
        lm = world.lm(folder, num_threads=threads)
        result = world.run(folder, lm, params, n_train=12)
        scores = [t.model_copy(update={"seconds": 0.0}) for t in result.trials]
        outcomes.append(
            (sorted(lm.scripted.prompts), world.document(result.program), scores)
        )
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("bad", [world.GARBAGE, '{"answer": "none"}'])
def test_attempts_that_give_no_demo_are_followed_by_the_next(tmp_path, bad):
    """What DSPy cannot read and what the metric refuses: no call more, none less."""

    def answer(prompt):
        asked = prompt.rsplit("question", 1)[-1]
        failing = "t1" in asked or "t3" in asked or "t4" in asked
        return bad if failing and world.is_task(prompt) else world.answer(prompt)

    params = world.settings(miprov2=CONFIGURATIONS[0])
    lms = [world.lm(tmp_path / str(n), answer, num_threads=n) for n in (1, 8)]
    for lm in lms:
        world.run(lm.cache_folder.parent, lm, params)
    one, eight = (sorted(lm.scripted.prompts) for lm in lms)
    assert one == eight


def test_two_predictors_are_bootstrapped_the_same(tmp_path):
    """A program of two steps: same calls, same program."""

    class Two(dspy.Module):
        def __init__(self):
            super().__init__()
            self.first = dspy.Predict("question -> answer")
            self.second = dspy.Predict("question, hint -> answer")

        def forward(self, question):
            return self.second(question=question, hint=self.first(question=question))

    params, found = world.settings(miprov2=CONFIGURATIONS[0]), []
    for threads in (1, 8):
        folder = tmp_path / str(threads)
        lm = world.lm(folder, num_threads=threads)
        result = world.run(folder, lm, params, student=Two())
        demos = [[dict(d) for d in p.demos] for p in result.program.predictors()]
        found.append((sorted(lm.scripted.prompts), str(demos)))
    assert found[0] == found[1]


@pytest.mark.parametrize(("threads", "together"), [(1, 1), (8, 5)])
def test_proposals_are_asked_together(tmp_path, threads, together):
    """As many at a time as the LM answers; with one thread one after the other."""
    answer = Gathering(together)
    params = world.settings(miprov2={"num_candidates": 6})
    world.run(tmp_path, world.lm(tmp_path, answer, num_threads=threads), params)
    assert answer.most >= together
    assert answer.most <= threads


@pytest.mark.parametrize("usable", [True, False])
def test_demos_are_asked_for_beside_a_baseline_that_is_not_the_floor(tmp_path, usable):
    """Once the baseline is certain to go on; one without a usable output pays alone."""
    demos, held = threading.Event(), []

    def answer(prompt):
        asked = re.findall(r"\n([tv]\d+)\n", prompt)[-1:]
        if asked and asked[0].startswith("t"):
            demos.set()
        if usable and asked == ["v7"] and not held:
            held.append(prompt)
            assert demos.wait(30)
        return world.answer(prompt) if usable or not asked else world.GARBAGE

    lm = world.lm(tmp_path, answer, num_threads=2)
    params = world.settings(miprov2={"num_trials": 1})
    if usable:
        world.run(tmp_path, lm, params)
        assert held
        return
    with pytest.raises(PoOptimizerError, match="unusable"):
        world.run(tmp_path, lm, params)
    assert not [p for p in lm.scripted.prompts if '"t' in p or "\nt" in p]


@pytest.mark.parametrize("most", [9, 16])
def test_a_budget_ends_it_in_order(tmp_path, most):
    """In the midst of the calls made ahead: the baseline is kept, a rerun goes on."""
    miprov2 = {**CONFIGURATIONS[0], "num_trials": 3}
    lm = world.lm(tmp_path, world.slow(0.01), num_threads=4)
    bounded = world.settings(miprov2=miprov2, budget={"max_calls": most})
    first = world.run(tmp_path, lm, bounded)
    assert first.report.ended == "budget"
    assert most <= first.report.spent.paid < most + 4
    again = world.run(tmp_path, lm, world.settings(miprov2=miprov2))
    whole = world.lm(tmp_path / "whole", num_threads=1)
    plain = world.run(tmp_path / "whole", whole, world.settings(miprov2=miprov2))
    assert world.document(again.program) == world.document(plain.program)
    assert sorted(lm.scripted.prompts) == sorted(whole.scripted.prompts)


def test_an_interruption_ends_it_in_order(tmp_path):
    """A stop while proposals are in flight: the baseline is kept, nothing more paid."""
    made = []

    def answer(prompt):
        if not world.is_task(prompt):
            made[0].meter.stopped = made[0].meter.stopped or Interrupted()
        return world.slow(0.02)(prompt)

    made.append(world.lm(tmp_path, answer, num_threads=3))
    result = world.run(tmp_path, made[0], world.settings(miprov2={"num_candidates": 9}))
    proposals = [p for p in made[0].scripted.prompts if not world.is_task(p)]
    assert result.report.ended == "interrupted"
    assert len(proposals) <= 3
