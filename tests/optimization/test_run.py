import json
import shutil
import sys
import threading

import dspy
import pytest

from po_optimizer.errors import ExecutionStopError, PoOptimizerError
from po_optimizer.optimization.journal import read_journal
from po_optimizer.optimization.preflight.run import preflight
from po_optimizer.optimization.report import describe
from tests.optimization import world

OPTIMIZERS = ["miprov2", "gepa", "bootstrap_random_search"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_gives_the_journals_best(whole_run, optimizer):
    """The program that is returned is the best whole-valset trial of the journal."""
    whole = whole_run(optimizer)
    trials = read_journal(whole.folder / "trials.jsonl")
    assert trials == whole.trials
    best = max(t.score for t in trials if t.kind != "minibatch")
    assert whole.report.best.score == best
    assert whole.report.ended == "completed"
    assert [t.trial for t in trials] == list(range(1, len(trials) + 1))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_same_result_with_8_threads(tmp_path, whole_run, optimizer):
    """The number of threads changes neither the program nor the journal."""
    single, lm = whole_run(optimizer), world.lm(tmp_path, num_threads=8)
    parallel = world.run(tmp_path, lm, world.settings(optimizer))
    assert world.document(parallel.program) == single.document
    pairs = zip(parallel.trials, single.trials, strict=True)
    assert all(a.same_as(b) for a, b in pairs)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_second_run_pays_nothing(tmp_path, whole_run, optimizer):
    """The same command again is answered by the cache and gives the same program."""
    first = whole_run(optimizer)
    folder = shutil.copytree(first.folder, tmp_path / "same")
    lines, lm = (folder / "trials.jsonl").read_text(), world.lm(folder)
    second = world.run(folder, lm, world.settings(optimizer))
    assert lm.scripted.prompts == []
    assert world.document(second.program) == first.document
    assert (folder / "trials.jsonl").read_text() == lines


def test_baseline_is_evaluated_first_and_once(whole_run):
    """Trial 1 is the student; MIPROv2's own evaluation of it is not recorded again."""
    trials = whole_run("miprov2").trials
    assert [t.kind for t in trials] == ["baseline"] + ["full_eval"] * 2
    assert trials[0].calls_paid == 8


def test_minibatch_mode_journals_both_kinds(tmp_path):
    """Minibatches have their own n and leave the best of the whole valset alone."""
    small = {"minibatch": True, "minibatch_size": 3, "minibatch_full_eval_steps": 2}
    params = world.settings(miprov2={"num_trials": 4, **small})
    world.run(tmp_path, world.lm(tmp_path), params)
    trials = read_journal(tmp_path / "trials.jsonl")
    assert [(t.kind, t.n) for t in trials[1:4]] == [
        ("minibatch", 3),
        ("minibatch", 3),
        ("full_eval", 8),
    ]
    assert trials[1].best == trials[0].score


def test_best_is_saved_at_each_improvement(tmp_path):
    """save_best gets every program that beats all before, with its trial."""
    shelf = world.Shelf()
    params = world.settings("bootstrap_random_search")
    world.run(tmp_path, world.lm(tmp_path), params, save_best=shelf)
    scores = [trial.score for _, trial in shelf.saved]
    assert scores == sorted(set(scores))
    assert shelf.saved[-1][1].best == scores[-1]


def test_winner_is_named_by_instruction_and_demo_set(tmp_path):
    """The journal's numbers are MIPROv2's own candidates'; 0 is the student's."""
    params = world.settings(miprov2={"num_trials": 6})
    result = world.run(tmp_path, world.lm(tmp_path), params)
    trials = read_journal(tmp_path / "trials.jsonl")
    assert trials[0].instruction == [0]
    assert trials[0].demo_set == [0]
    assert {t.demo_set[0] for t in trials} <= {0, 1, 2}
    best = result.report.best
    own = world.student().signature.instructions
    assert (result.report.instructions[0] == own) == (best.instruction == [0])
    assert (result.report.n_demos == [0]) == (best.demo_set == [0])


def test_changed_run_is_refused_by_name(tmp_path):
    """Another seed over an unfinished journal is an error that names the seed."""
    _unfinished(tmp_path)
    with pytest.raises(PoOptimizerError, match=r"optimize\.seed \(was 9, is 10\)"):
        world.run(tmp_path, world.lm(tmp_path), world.settings(seed=10))


def test_changed_data_are_refused_by_name(tmp_path):
    """Other examples over an unfinished journal are an error that names the split."""
    _unfinished(tmp_path)
    with pytest.raises(PoOptimizerError, match="valset"):
        world.run(tmp_path, world.lm(tmp_path), n_val=7)


def test_another_run_follows_a_finished_one(tmp_path):
    """After a run that came to its end, another seed needs no permission."""
    world.run(tmp_path, world.lm(tmp_path))
    result = world.run(tmp_path, world.lm(tmp_path), world.settings(seed=10))
    assert result.report.seed == 10
    assert len(read_journal(tmp_path / "trials.jsonl")) == result.report.n_trials


def test_restart_starts_the_journal_anew(tmp_path):
    """on_change=restart replaces the journal of the changed run."""
    _unfinished(tmp_path)
    params = world.settings(seed=10, on_change="restart", miprov2={"num_trials": 1})
    result = world.run(tmp_path, world.lm(tmp_path), params)
    assert len(read_journal(tmp_path / "trials.jsonl")) == result.report.n_trials == 2


def test_budget_and_threads_are_no_change(tmp_path):
    """Bounds and pace may differ between restarts of one optimization."""
    world.run(tmp_path, world.lm(tmp_path))
    params = world.settings(budget={"max_calls": 500})
    again = world.run(tmp_path, world.lm(tmp_path, num_threads=8), params)
    assert again.report.ended == "completed"


@pytest.mark.parametrize(("threads", "most"), [(1, 20), (8, 27)])
def test_call_budget_ends_in_order(tmp_path, threads, most):
    """Reaching max_calls gives the best so far, at most the calls in flight over."""
    lm = world.lm(tmp_path, world.slow(0.002), num_threads=threads)
    params = world.settings(budget={"max_calls": 20})
    result = world.run(tmp_path, lm, params)
    assert result.report.ended == "budget"
    assert "optimize.budget.max_calls=20" in result.report.reason
    assert 20 <= len(lm.scripted.prompts) <= most
    assert result.report.spent.paid == len(lm.scripted.prompts)


def test_budget_counts_over_restarts(tmp_path):
    """A restart under the same budget pays nothing more; a raised one goes on."""
    params = world.settings(budget={"max_calls": 20})
    world.run(tmp_path, world.lm(tmp_path), params)
    again = world.lm(tmp_path)
    assert world.run(tmp_path, again, params).report.ended == "budget"
    assert again.scripted.prompts == []
    raised = world.settings(budget={"max_calls": 300})
    whole = world.run(tmp_path, world.lm(tmp_path), raised)
    alone = world.run(tmp_path / "alone", world.lm(tmp_path / "alone"))
    assert world.document(whole.program) == world.document(alone.program)
    assert whole.report.spent.paid == alone.report.spent.paid


@pytest.mark.parametrize(
    "bound", [{"max_tokens": 1}, {"max_minutes": 1e-6}, {"max_cost_usd": 0.01}]
)
def test_every_bound_ends_the_search(tmp_path, bound):
    """Tokens, minutes and cost bound a run as calls do, with the best so far."""
    first = world.lm(tmp_path)
    first.provider.cost = lambda answer: 0.01
    world.run(tmp_path, first, world.settings(budget={"max_calls": 10}))
    again = world.lm(tmp_path)
    result = world.run(tmp_path, again, world.settings(budget=bound))
    assert result.report.ended == "budget"
    assert next(iter(bound)) in result.report.reason
    assert again.scripted.prompts == []


def test_answer_of_unknown_cost_hides_no_other(tmp_path):
    """The bound counts what is known, where one answer of many reports no tokens."""
    costs = iter([None, *[0.01] * 500])
    first = world.lm(tmp_path)
    first.provider.cost = lambda answer: next(costs)
    world.run(tmp_path, first, world.settings(budget={"max_calls": 12}))
    again = world.lm(tmp_path)
    params = world.settings(budget={"max_cost_usd": 0.1})
    result = world.run(tmp_path, again, params)
    assert result.report.ended == "budget"
    assert result.report.spent.cost_usd is None
    assert again.scripted.prompts == []


def test_budget_below_the_baseline_is_an_error(tmp_path):
    """Without a complete baseline there is no program, and the error says so."""
    params = world.settings(budget={"max_calls": 3})
    with pytest.raises(ExecutionStopError, match="max_calls=3"):
        world.run(tmp_path, world.lm(tmp_path), params)


def test_guards_and_trial_are_taken_back(tmp_path):
    """After a run the LM is as before: no guard, no trial, no stop."""
    lm = world.lm(tmp_path)
    world.run(tmp_path, lm, world.settings(budget={"max_calls": 500}))
    assert lm.meter.guards == []
    assert lm.meter.trial is None


def test_student_is_left_alone(tmp_path):
    """The optimizer works on copies."""
    student = world.student()
    before = world.document(student)
    world.run(tmp_path, world.lm(tmp_path), student=student)
    assert world.document(student) == before


class Remembering(dspy.Module):
    """Keeps its answers, and a client that it opens when it is first asked."""

    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> answer")
        self.answers, self.client = {}, None

    def forward(self, question):
        """The answer, from memory if it is there; one question is too much."""
        self.client = self.client or threading.Lock()
        if question == "t3":
            sys.exit(f"no answer to {question}")
        if question not in self.answers:
            self.answers[question] = self.ask(question=question)
        return self.answers[question]


@pytest.mark.parametrize("optimizer", ["miprov2", "gepa", "bootstrap_random_search"])
def test_a_candidate_remembers_no_other_ones_answers(tmp_path, optimizer):
    """The result is the student with better prompts, without what a run left in it."""
    lm, params = world.lm(tmp_path), world.settings(optimizer)
    result = world.run(tmp_path, lm, params, student=Remembering())
    scores = {trial.score for trial in result.trials if trial.n == result.trials[0].n}
    assert len(scores) > 1
    assert (result.program.answers, result.program.client) == ({}, None)


def test_two_predictors_have_two_numbers(tmp_path):
    """The journal numbers instructions and demo sets per predictor."""

    class Two(dspy.Module):
        def __init__(self):
            super().__init__()
            self.first = dspy.Predict("question -> answer")
            self.second = dspy.Predict("question, hint -> answer")

        def forward(self, question):
            hint = self.first(question=question).answer
            return self.second(question=question, hint=hint)

    result = world.run(tmp_path, world.lm(tmp_path), student=Two())
    assert len(result.report.best.instruction) == 2
    assert len(result.report.instructions) == 2


def test_report_is_json(tmp_path):
    """The report can be stored as it is."""
    report = world.run(tmp_path, world.lm(tmp_path)).report
    stored = json.loads(report.model_dump_json())
    assert stored["best"]["score"] == report.best.score


def test_optimizer_error_is_named(tmp_path):
    """A prompt LM whose answers cannot be parsed ends with a sentence of ours."""
    respond = world.task_only(world.answer)
    lm = world.lm(tmp_path, lambda p: respond(p) if world.is_task(p) else "")
    shelf = world.Shelf()
    with pytest.raises(PoOptimizerError, match="miprov2"):
        world.run(tmp_path, lm, save_best=shelf)
    assert len(shelf.saved) == 1


def test_events_tell_the_run_in_order(tmp_path):
    """Started, phases, trials, ended: each one line."""
    events = []
    world.run(tmp_path, world.lm(tmp_path), progress=events.append)
    words = [describe(event) for event in events]
    assert words[0].startswith("optimize: miprov2, 4 trials")
    assert words[1] == "optimize: baseline"
    assert sum(line.startswith("trial ") for line in words) == 3
    assert words[-1].startswith("optimize: completed")


@pytest.mark.usefixtures("without_our_lines")
def test_nothing_of_dspy_reaches_the_terminal(tmp_path, capfd):
    """No tqdm bar, no print and no log line of DSPy, on stdout or stderr."""
    for optimizer in OPTIMIZERS:
        folder = tmp_path / optimizer
        world.run(folder, world.lm(folder), world.settings(optimizer))
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


def _unfinished(folder):
    """A run that its budget ended after the baseline."""
    bounded = world.settings(budget={"max_calls": 12})
    result = world.run(folder, world.lm(folder), bounded)
    assert result.report.ended == "budget"


class Asks(dspy.Module):
    """A program whose source code is here."""

    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question):
        """One call."""
        return self.ask(question=question)


AWARE = world.settings(miprov2={"program_aware_proposer": True})


def test_the_prompt_lm_sees_the_program_under_every_python(tmp_path):
    """Under 3.14 pydantic keeps no namespace of a signature, which DSPy needs."""
    student, lm = Asks(), world.lm(tmp_path)
    student.ask.signature.__pydantic_parent_namespace__ = None
    world.run(tmp_path, lm, AWARE, student=student)
    assert any("class Asks(dspy.Module)" in prompt for prompt in lm.scripted.prompts)
    assert student.ask.signature.__pydantic_parent_namespace__ is None


def test_a_program_without_source_code_is_optimized(tmp_path, caplog):
    """It was made by `exec`, or comes compiled; a warning says what that costs."""
    source = "class Hidden(Asks):\n    pass"
    names = {"Asks": Asks, "__name__": "nowhere"}
    exec(source, names)  # noqa: S102
    student = names["Hidden"]()
    assert preflight(world.job(world.lm(tmp_path), AWARE, student=student)).passed
    assert "proposed without the program" in caplog.text
    result = world.run(tmp_path, world.lm(tmp_path), AWARE, student=student)
    assert result.report.ended == "completed"
