"""A judge's LM and a pinned one in a whole optimization: counted, bounded, resumed."""

import dspy
import pytest

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.ledger import Ledger
from tests.optimization import world
from tests.scripted import ScriptedEngine

OPTIMIZERS = ("miprov2", "gepa", "bootstrap_random_search")
THREADS = 8


class Others:
    """Two LMs that are not the run's, and what was asked of them."""

    def __init__(self, respond=world.answer, kind=dspy.LM, **judge) -> None:
        self.pinned, self.judging = ScriptedEngine(respond), ScriptedEngine(respond)
        settings = {"engine": self.judging, "num_retries": 0, **judge}
        self.judge = kind("house/judge", **settings)
        self.student = _Student(dspy.LM("house/pinned", engine=self.pinned))

    def metric(self, example, prediction, trace=None, pred_name=None, pred_trace=None):
        """The judge is asked, the digit counts."""
        with dspy.context(lm=self.judge):
            dspy.Predict("question, given -> answer")(
                question=example.question, given=str(prediction)
            )
        return world.metric(example, prediction)


class Forwarding(dspy.LM):
    """A class with a forward of its own, which DSPy does not cache."""

    def forward(self, *args, **kwargs):
        """What DSPy would do."""
        return super().forward(*args, **kwargs)


class _Student(dspy.Module):
    """Asks an LM of its own before it answers; it survives whatever that raises."""

    def __init__(self, lm) -> None:
        super().__init__()
        self.lm_of_its_own = _Held(lm)
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question):
        """The answer to a question, or none."""
        try:
            self.lm_of_its_own.lm(f"hint for {question}?")
            return self.answer(question=question)
        except Exception:  # noqa: BLE001 -- as people's programs do
            return dspy.Prediction(answer="")


class _Held:
    """Not to be copied with the program: its engine counts."""

    def __init__(self, lm) -> None:
        self.lm = lm

    def __deepcopy__(self, memo):
        return self


def _optimize(folder, optimizer, others, **budget):
    lm = world.lm(folder, num_threads=THREADS)
    params = world.settings(optimizer, budget=budget)
    result = world.run(folder, lm, params, student=others.student, metric=others.metric)
    return lm, result


def _paid(folder):
    rows = Ledger(folder / "ledger.sqlite").rows()
    names = [row.lm for row in rows if row.paid]
    return {name: names.count(name) for name in set(names)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_ledger_counts_what_each_lm_was_asked(tmp_path, optimizer):
    """By name, and the report's sum is theirs; the same command pays nothing again."""
    others = Others()
    lm, result = _optimize(tmp_path, optimizer, others)
    asked = {
        "scripted": len(lm.scripted.prompts),
        "house-judge": len(others.judging.prompts),
        "house-pinned": len(others.pinned.prompts),
    }
    assert _paid(tmp_path) == asked
    assert result.report.spent.paid == sum(asked.values())
    _optimize(tmp_path, optimizer, others)
    assert _paid(tmp_path) == asked


@pytest.mark.parametrize("kind", [dspy.LM, Forwarding])
def test_what_dspy_does_not_cache_is_resumed_too(tmp_path, kind):
    """Each call has its own answer, and finds it again when the command is repeated."""
    others = Others(kind=kind, cache=False)
    _, first = _optimize(tmp_path, "miprov2", others)
    n_asked = len(others.judging.prompts)
    assert n_asked > len(set(others.judging.prompts))
    _, second = _optimize(tmp_path, "miprov2", others)
    assert len(others.judging.prompts) == n_asked
    assert second.report.best.score == first.report.best.score


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_budget_bounds_the_calls_of_all_lms(tmp_path, optimizer):
    """At most the calls in flight are beyond it, whoever's they are."""
    others = Others()
    most = 45
    lm, result = _optimize(tmp_path, optimizer, others, max_calls=most)
    engines = (lm.scripted, others.pinned, others.judging)
    assert most <= sum(len(one.prompts) for one in engines) <= most + THREADS
    assert result.report.ended == "budget"


def test_judge_that_is_gone_stops_the_run(tmp_path):
    """No example is scored 0.0 for it; the sentence names the judge."""
    others = Others()
    others.judging.answer = world.failing_after(3, ConnectionError("gone"))
    with pytest.raises(PoOptimizerError, match=r"house-judge.*gave no answer"):
        _optimize(tmp_path, "miprov2", others)


def test_pinned_lm_that_is_gone_stops_the_run(tmp_path):
    """The program's own `except` does not turn the outage into a score."""
    others = Others()
    others.pinned.answer = world.failing_after(3, ConnectionError("gone"))
    with pytest.raises(PoOptimizerError, match=r"house-pinned.*gave no answer"):
        _optimize(tmp_path, "miprov2", others)
