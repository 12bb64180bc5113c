"""The Python API: a program, examples, a metric and an LM, and nothing else."""

import asyncio
import signal
from functools import partial
from types import SimpleNamespace

import dspy
import pytest
from dspy.utils.dummies import DummyLM

from po_optimizer import (
    evaluate,
    get_provenance,
    load_program,
    optimize,
    save_program,
)
from po_optimizer.api.arguments import optimize_params
from po_optimizer.errors import (
    InterruptedRunError,
    PoOptimizerError,
    PreflightError,
)
from po_optimizer.lms.stops import stop_requested
from tests.scripted import ScriptedEngine

CITIES = {f"q{n:02}": f"city {n}" for n in range(40)}
ROWS = [{"question": q, "answer": a} for q, a in CITIES.items()]


def answer(prompt: str) -> str:
    """Right if there is a demo; a proposal where one is asked for."""
    if "proposed_instruction" in prompt:
        return (
            "[[ ## proposed_instruction ## ]]\nName the city.\n\n[[ ## completed ## ]]"
        )
    question = prompt.rpartition("[[ ## question ## ]]\n")[2][:3]
    right = prompt.count("[[ ## question ## ]]\nq") > 1 or question < "q10"
    text = CITIES.get(question, "none") if right else "nowhere"
    return f"[[ ## answer ## ]]\n{text}\n\n[[ ## completed ## ]]"


def exact(example, prediction, trace=None):
    """A metric as people write it."""
    return example.answer == prediction.answer


class Answering(dspy.Module):
    """A program as people write it."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question):
        """One call."""
        return self.answer(question=question)


@pytest.fixture(autouse=True)
def _verified_here(monkeypatch):
    """Another process reads back what `finished` stored; here this one does."""
    inline = partial(save_program, verify="inline")
    monkeypatch.setattr("po_optimizer.api.optimized.save_program", inline)


@pytest.fixture
def engine():
    """What answers; it counts what it was asked."""
    return ScriptedEngine(answer)


@pytest.fixture
def given(engine, tmp_path):
    """The arguments of an optimization."""
    return {
        "trainset": ROWS[:8],
        "valset": ROWS[8:16],
        "metric": exact,
        "lm": dspy.LM("openai/scripted", engine=engine),
        "folder": tmp_path / "run",
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The arguments of an optimization, and what it gave."""
    engine = ScriptedEngine(answer)
    given = {
        "trainset": ROWS[:8],
        "valset": ROWS[8:16],
        "metric": exact,
        "lm": dspy.LM("openai/scripted", engine=engine),
        "folder": tmp_path_factory.mktemp("finished"),
    }
    return given, optimize(Answering(), **given)


def measured(given, testset):
    """The arguments of `evaluate` in the same folder."""
    kept = {name: given[name] for name in ("metric", "lm", "folder")}
    return {**kept, "testset": testset}


def test_headroom_is_estimated_where_it_is_asked_for(given):
    """The report's forecast says what the search was likely to gain."""
    sizes = {"num_candidates": 10, "num_trials": 12}
    run = optimize(Answering(), **given, headroom=True, **sizes)
    assert run.report.forecast.headroom.gain > 0.0


def test_program_is_optimized_and_stored(finished, tmp_path):
    """The student stays as it was; what is saved again is what was found."""
    given, run = finished
    assert (run.report.baseline.score, run.report.best.score) == (0.25, 1.0)
    assert run.trials[0] == run.report.baseline
    assert repr(run).startswith("Optimized(completed, 0.250 -> 1.000 on the valset, ")
    save_program(run.program, tmp_path / "program.json")
    for path in (given["folder"] / "program.json", tmp_path / "program.json"):
        loaded = load_program(path, program=Answering())
        assert loaded.answer.demos == run.program.answer.demos
        assert get_provenance(loaded)["task_lm"] == "openai-scripted"


def test_program_is_measured_on_a_testset(finished):
    """Paired, with a decision and a page; the same calls again ask nothing."""
    given, run = finished
    verdict = evaluate(Answering(), run.program, **measured(given, ROWS[16:]))
    assert (verdict.decision, verdict.uplift.mean) == ("promote", 1.0)
    assert repr(verdict).startswith(f"Verdict(promote: {verdict.reasons[0]}")
    assert "city" in verdict.report_html.read_text("utf-8")
    asked = len(given["lm"].engine.prompts)
    assert optimize(Answering(), **given).report.best == run.report.best
    again = evaluate(Answering(), run.program, **measured(given, ROWS[16:]))
    assert again.uplift == verdict.uplift
    assert len(given["lm"].engine.prompts) == asked


def test_equal_examples_of_a_testset_count_once(finished, tmp_path, caplog):
    """Three of them ten times over prove no more than three."""
    given, run = finished
    elsewhere = {**measured(given, ROWS[16:19] * 10), "folder": tmp_path}
    verdict = evaluate(Answering(), run.program, **elsewhere)
    assert verdict.decision == "inconclusive"
    assert (verdict.uplift.n, verdict.uplift.n_groups) == (30, 3)
    assert verdict.reasons[0].startswith("Too few groups of examples: with 3")
    assert "27 of 30 examples repeat others' inputs" in caplog.text


def test_a_program_must_beat_the_one_that_runs(finished, tmp_path):
    """The champion answers too; a program that only equals it does not replace it."""
    given, run = finished
    chosen = {**measured(given, ROWS[16:]), "folder": tmp_path}
    program = Answering()
    program.answer.demos = run.program.answer.demos[:1]
    verdict = evaluate(Answering(), program, champion=run.program, **chosen)
    assert verdict.decision == "keep_champion"
    assert verdict.report.over_champion.score.mean == 0.0
    same = evaluate(Answering(), run.program, champion=run.program, **chosen)
    assert same.report.is_champion


def test_a_search_that_found_nothing_spends_nothing(finished, tmp_path):
    """The baseline is judged against itself; then the next program is the first."""
    given, run = finished
    chosen = {**measured(given, ROWS[16:]), "folder": tmp_path}
    nothing = evaluate(Answering(), Answering(), **chosen)
    assert (nothing.decision, nothing.uplift.mean) == ("keep_baseline", 0.0)
    verdict = evaluate(Answering(), run.program, **chosen)
    assert verdict.report.judgement.place == 1


def test_a_testset_that_the_optimizer_saw_is_refused(finished):
    """Scores on what was seen say nothing."""
    given, run = finished
    with pytest.raises(PoOptimizerError, match="8 of its examples were in"):
        evaluate(Answering(), run.program, **measured(given, ROWS[8:20]))


def test_a_folder_of_another_run_is_refused(finished):
    """The finished ones, too; what is different is named."""
    given, _ = finished
    with pytest.raises(PoOptimizerError, match="it holds another optimization") as why:
        optimize(Answering(), **given, seed=10)
    assert "different: seed" in str(why.value)


def test_an_optimized_program_is_where_the_next_begins(finished, given):
    """Its demos are the baseline's; a folder, of a spent budget say, is begun anew."""
    _, run = finished
    ended = optimize(Answering(), **given, budget={"max_calls": 20}, num_threads=1)
    assert (ended.report.ended, ended.report.spent.paid) == ("budget", 20)
    second = optimize(run.program, **given, on_change="restart")
    assert second.report.baseline.score == run.report.best.score == 1.0


def test_a_stop_stores_the_best_and_raises(given, engine, monkeypatch):
    """A script that goes on after a success must not go on; the same call continues."""

    def stopping(prompt: str) -> str:
        if "proposed_instruction" in prompt:
            signal.raise_signal(signal.SIGINT)
        return answer(prompt)

    monkeypatch.setattr(engine, "answer", stopping)
    with pytest.raises(InterruptedRunError, match="the same call continues"):
        optimize(Answering(), **given, num_threads=1)
    assert (given["folder"] / "program.json").exists()
    assert not stop_requested.is_set()
    monkeypatch.setattr(engine, "answer", answer)
    assert optimize(Answering(), **given).report.ended == "completed"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"trainset": []}, "trainset=0 cannot be used: it has no example"),
        ({"metric": 0.5}, "metric='float' cannot be used: not callable"),
        ({"metric": lambda x: 1}, "cannot be called as metric"),
        ({"lm": None}, "lm=None cannot be used: it is no LM"),
        ({"lm": "nosuch"}, "lm='nosuch' cannot be used: it names no provider"),
        ({"lm": "openai/"}, "lm='openai/' cannot be used"),
        ({"folder": None}, "folder=None cannot be used"),
        ({"folder": __file__}, "it is a file"),
        ({"optimizer": "mipro"}, "optimizer='mipro' cannot be used"),
        ({"budget": {"max_call": 1}}, "budget.max_call=1 cannot be used"),
        ({"budget": 5}, "budget=5 cannot be used"),
        ({"num_threads": 0}, "num_threads=0 cannot be used"),
        ({"trainset": [{0: "q"}]}, "names of fields are texts"),
        ({"num_trial": 3}, "num_trial=3 cannot be used"),
        ({"seed": "a"}, "seed='a' cannot be used"),
    ],
)
def test_a_mistake_is_one_sentence(given, changed, words):
    """It names the argument, its value, what is allowed and what to do."""
    with pytest.raises(PoOptimizerError, match=words) as refused:
        optimize(Answering(), **{**given, **changed})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("bound", [{"auto": "light"}, {"max_metric_calls": 60}])
def test_a_bound_of_gepa_takes_the_place_of_the_default(bound):
    """Nobody has to set to null what he never set."""
    assert optimize_params("gepa", bound).gepa.max_full_evals is None


def test_what_is_no_program_is_refused(given):
    """By its type."""
    with pytest.raises(PoOptimizerError, match="program='function' cannot be used"):
        optimize(exact, **given)


@pytest.mark.filterwarnings("ignore:Passing OpenAI-style")  # such a class knows no else
def test_an_lm_of_ones_own_that_answers_nothing_readable_is_refused(given):
    """Before anything is begun, in the words of the preflight."""
    lm = DummyLM([{"other": "text"}] * 99)
    with pytest.raises(PreflightError, match="outputs_usable"):
        optimize(Answering(), **{**given, "lm": lm})


class Bare(dspy.BaseLM):
    """A class as people write it, which takes what DSPy's own programs give it."""

    def forward(self, prompt=None, messages=None):
        """The form of OpenAI's answers."""
        message = SimpleNamespace(content=answer(messages[-1]["content"]))
        choice = SimpleNamespace(message=message, finish_reason="stop")
        usage = {"prompt_tokens": 400, "completion_tokens": 4}
        return SimpleNamespace(model="own", usage=usage, choices=[choice])


class BareLM(dspy.LM):
    """The same below DSPy's own class."""

    forward = Bare.forward


class Direct(Bare):
    """A class that leaves DSPy's way of calling, and reports nothing."""

    def __call__(self, prompt=None, messages=None, **kwargs):
        """A list of texts."""
        return [answer(messages[-1]["content"])]


class Silent(Bare):
    """A class whose answers hold no text."""

    def forward(self, prompt=None, messages=None, **kwargs):
        """No choice."""
        return SimpleNamespace(model="own", usage={}, choices=[])


class Broken(Bare):
    """A class that raises what it likes."""

    def forward(self, prompt=None, messages=None, **kwargs):
        """Nothing."""
        raise RuntimeError("no GPU is left")


ROUNDS = {"optimizer": "bootstrap_random_search", "num_candidate_programs": 1}


@pytest.mark.filterwarnings("ignore:Passing OpenAI", "ignore:Implementing custom")
@pytest.mark.parametrize("kind", [Bare, BareLM, Direct])
def test_a_class_of_ones_own_is_asked_by_what_it_takes(given, kind):
    """Not with arguments that only the checks would send; its history may be empty."""
    run = optimize(Answering(), **{**given, "lm": kind("own/x")}, **ROUNDS)
    assert run.report.ended == "completed"


@pytest.mark.filterwarnings("ignore:Passing OpenAI", "ignore:Implementing custom")
@pytest.mark.parametrize(
    ("kind", "words"), [(Silent, "outputs_usable"), (Broken, "no GPU is left")]
)
def test_a_class_of_ones_own_that_gives_nothing_is_refused(given, kind, words):
    """In a sentence, whatever it raises."""
    with pytest.raises(PreflightError, match=words):
        optimize(Answering(), **{**given, "lm": kind("own/x")})


@pytest.mark.filterwarnings("ignore:Passing OpenAI", "ignore:Implementing custom")
def test_a_prompt_lm_of_ones_own_that_gives_nothing_is_refused(given):
    """It is asked for a word before the search needs it."""
    with pytest.raises(PreflightError, match=r"prompt_lm.*no GPU is left"):
        optimize(Answering(), **given, prompt_lm=Broken("own/y"))


def test_a_stop_in_the_preflight_ends_in_order(given, engine, monkeypatch):
    """The call in flight is kept, as later ones are; nothing is optimized yet."""

    def stopping(prompt: str) -> str:
        signal.raise_signal(signal.SIGINT)
        return answer(prompt)

    monkeypatch.setattr(engine, "answer", stopping)
    with pytest.raises(InterruptedRunError):
        optimize(Answering(), **given, num_threads=1)
    assert len(engine.prompts) == 1


class Demanding(Answering):
    """A class that nobody can call without an argument."""

    def __init__(self, key):
        super().__init__()


class Awaited(dspy.Module):
    """A program that is awaited."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    async def aforward(self, question):
        """One call."""
        return await self.answer.acall(question=question)


def test_a_class_that_cannot_be_made_is_refused(given):
    """In the words of its constructor, not with its traceback."""
    with pytest.raises(PoOptimizerError, match=r"missing 1 required .*'key'"):
        optimize(Demanding, **given)


def test_a_check_that_failed_names_the_argument(given):
    """There is no `role.metric` in Python."""
    given["metric"] = lambda example, prediction: example.label
    with pytest.raises(PreflightError, match=r"\n- metric") as refused:
        optimize(Answering(), **given)
    assert "optimize." not in str(refused.value)


class AwaitedEngine:
    """An engine's answers, awaited."""

    def __init__(self, engine):
        self.engine = engine

    async def complete(self, request):
        """One answer."""
        return self.engine.complete(request)


def test_an_awaited_program_runs_in_a_notebook(given, engine):
    """A loop runs there already; what is stored loads into the program as it was."""
    awaited = AwaitedEngine(engine)
    given["lm"] = dspy.LM("openai/scripted", engine=engine, async_engine=awaited)

    async def cell():
        return optimize(Awaited(), **given)

    run = asyncio.run(cell())
    assert run.report.ended == "completed"
    save_program(run.program, given["folder"] / "again.json")
    for name in ("program.json", "again.json"):
        loaded = load_program(given["folder"] / name, program=Awaited())
        assert loaded.answer.demos == run.program.answer.demos


def test_a_folder_may_be_in_the_home(given, monkeypatch, tmp_path):
    """`~` is what it is in a shell, not a folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_program(Answering(), "~/there/program.json")
    assert load_program("~/there/program.json", program=Answering())
    verdict = evaluate(
        Answering(), Answering(), **measured({**given, "folder": "~/runs"}, ROWS[16:18])
    )
    assert verdict.folder == tmp_path / "runs"
    assert not (tmp_path / "~").exists()
