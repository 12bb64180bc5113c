import dataclasses
import functools
import json
import time

import dspy
import pytest
from dspy.lm15 import InvalidRequestError, ServerError
from dspy.utils.exceptions import LMInvalidRequestError, LMTransportError

from po_optimizer.errors import InterruptedRunError, PreflightError
from po_optimizer.lms.check import Check
from po_optimizer.lms.interrupt import stop_lms_in_use
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import Interrupted
from po_optimizer.optimization.forecast import forecast
from po_optimizer.optimization.preflight import offline
from po_optimizer.optimization.preflight.run import preflight
from po_optimizer.params.optimize import PreflightParams
from po_optimizer.roles.score import Score
from tests.optimization import world

LOST = LMTransportError("connection refused")


def check(lm, params=None, **changes):
    """One preflight of the small world."""
    asked = ("testset", "target_rubric", "disk_path")
    asks = {name: changes.pop(name) for name in asked if name in changes}
    return preflight(world.job(lm, params, **changes), **asks)


def failed(raised):
    """Names of the failed checks."""
    return [c.name for c in raised.value.report.checks if not c.passed]


def test_a_sound_optimization_passes(tmp_path):
    """Every check passes, and the report is JSON."""
    report = check(world.lm(tmp_path), testset=world.examples("x", 4))
    assert report.passed
    assert json.loads(report.model_dump_json())["checks"][0]["name"] == "splits_filled"


def test_a_target_above_the_references_is_said_beforehand(tmp_path, caplog):
    """It is no refusal: a program may be better than its data."""

    def graded(example, prediction, trace=None):
        score = world.metric(example, prediction)
        return Score(score.value, rubric=0.847 * score.value, unusable=score.unusable)

    report = check(world.lm(tmp_path), metric=graded, target_rubric=0.88)
    message = {c.name: c.message for c in report.checks}[
        "target_is_reached_by_references"
    ]
    assert report.passed
    assert "mean rubric is 0.847" in message
    assert "promotion.target_rubric=0.88" in message
    assert message in caplog.text
    reached = check(world.lm(tmp_path), metric=graded, target_rubric=0.8)
    assert not any("reference outputs' mean" in c.message for c in reached.checks)


def test_a_metric_without_rubric_has_no_target(tmp_path):
    """There is nothing to compare."""
    report = check(world.lm(tmp_path), target_rubric=0.88)
    assert "target_is_reached_by_references" not in {c.name for c in report.checks}


def test_the_probe_costs_nothing_twice(tmp_path):
    """The baseline's evaluation finds the probe's answers in the cache."""
    check(world.lm(tmp_path))
    result = world.run(tmp_path, world.lm(tmp_path))
    assert result.report.baseline.calls_paid == 5
    assert result.report.baseline.calls_cached == 3


def test_a_preflight_before_a_resume_asks_no_lm(tmp_path):
    """All answers being cached, an LM out of reach does not matter."""
    check(world.lm(tmp_path))
    lost = world.lm(tmp_path, world.failing_after(0, LOST))
    report = check(lost)
    told = {c.name: c.message for c in report.checks}
    assert told["task_lm_answers"] == "answered by the response cache"


def test_the_forecast_learns_from_the_probe(tmp_path):
    """Seconds and tokens of the first forecast are the probe's."""
    lm = world.lm(tmp_path, world.slow(0.01))
    check(lm)
    made = forecast(world.job(lm))
    assert made.task_rate.basis == "probe"
    assert made.tokens is not None


class Waiting(dspy.Module):
    """Works for a while by itself, as a sandbox or a service does."""

    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")

    def forward(self, question):
        """The answer, later."""
        time.sleep(0.2)
        return self.predict(question=question)


def test_the_forecast_counts_what_the_program_does_itself(tmp_path):
    """Its seconds are those of a run, not those of its LM calls alone."""
    lm = world.lm(tmp_path)
    report = check(lm, student=Waiting())
    made = forecast(world.job(lm, student=Waiting()), report)
    assert made.seconds >= made.task.upper * 0.2 / lm.num_threads


def test_an_lm_out_of_reach_is_one_failure(tmp_path):
    """The error names the LM and what it said; nothing else was paid for."""
    lm = world.lm(tmp_path, world.failing_after(0, LOST))
    with pytest.raises(PreflightError, match="connection refused") as raised:
        check(lm)
    assert failed(raised) == ["task_lm_answers"]
    assert len(lm.scripted.prompts) == 1


def test_a_prompt_lm_out_of_reach_is_named(tmp_path):
    """A prompt LM of its own is asked too."""
    prompt_lm = world.lm(tmp_path / "p", world.failing_after(0, LOST))
    prompt_lm.slug = "other"
    with pytest.raises(PreflightError) as raised:
        check(world.lm(tmp_path), prompt_lm=prompt_lm)
    assert failed(raised) == ["prompt_lm_answers"]


def test_unreadable_outputs_are_shown(tmp_path):
    """The original run's program: the metric can use none of its outputs."""
    lm = world.lm(tmp_path, lambda prompt: world.GARBAGE)
    with pytest.raises(PreflightError, match="weather") as raised:
        check(lm)
    assert failed(raised) == ["outputs_usable"]


def test_outputs_that_the_metric_cannot_use_are_shown(tmp_path):
    """Readable for DSPy, not for the metric: the reason is the metric's."""
    lm = world.lm(tmp_path, lambda prompt: '{"answer": "none"}')
    with pytest.raises(PreflightError, match="is no digit"):
        check(lm)


def test_a_program_that_raises_is_shown(tmp_path):
    """A program's own error is the finding."""

    class Broken(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict("question -> answer")

        def forward(self, question):
            return self.predict(question=question).nothing_of_that_name

    with pytest.raises(PreflightError, match="AttributeError"):
        check(world.lm(tmp_path), student=Broken())


def generous(example, prediction, trace=None):
    """The original run's metric: an empty output scored 1/64."""
    return max(1 / 64, world.metric(example, prediction))


def raising(example, prediction, trace=None):
    """Raises on what has no digit."""
    return int(prediction.answer) / 9


def flat(example, prediction, trace=None):
    """Gives everything the same."""
    return 0.6


def blind(example, prediction, trace=None):
    """Gives everything nothing."""
    return 0.0


def wild(example, prediction, trace=None):
    """Leaves the range."""
    return Score(0.0) if not getattr(prediction, "answer", "") else 9.0


def pair(example, prediction, trace=None):
    """Gives a score and a reason, as other libraries' metrics do."""
    return world.metric(example, prediction), "a reason"


def unlabeled(example, prediction, trace=None):
    """Reads a label that the examples do not have."""
    return prediction.answer == example.gold


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        (flat, ["metric_on_empty"]),
        (blind, ["metric_on_references"]),
        (wild, ["metric_score"]),
        (pair, ["metric_score"]),
        (unlabeled, ["metric_score"]),
    ],
)
def test_a_metric_that_cannot_tell_is_refused(tmp_path, metric, names):
    """Empty as good as any, references too low, or no number: before any call."""
    lm = world.lm(tmp_path)
    with pytest.raises(PreflightError, match=r"role\.metric") as raised:
        check(lm, metric=metric)
    assert failed(raised) == names
    assert lm.scripted.prompts == []


def messages(report):
    """What was said of each check."""
    return {c.name: c.message for c in report.checks}


def test_partial_credit_for_nothing_is_a_warning(tmp_path):
    """An empty output may score, as long as others of its example score more."""
    report = check(world.lm(tmp_path), metric=generous)
    assert "0.01562" in messages(report)["metric_on_empty"]


def test_raising_on_an_empty_output_tells_it(tmp_path):
    """Most metrics read `prediction.field`: that is no defect."""
    report = check(world.lm(tmp_path), metric=raising)
    assert messages(report)["metric_on_empty"] == ""


class Renames(dspy.Module):
    """Gives its output another name than its predictor and the labels."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question):
        """The digit."""
        return dspy.Prediction(digit=self.answer(question=question).answer)


def test_labels_need_not_be_named_like_outputs(tmp_path):
    """The metric is then judged on the probe's outputs, and preflight says so."""

    def metric(example, prediction, trace=None):
        return int(prediction.digit) / int(example.answer)

    report = check(world.lm(tmp_path), metric=metric, student=Renames())
    told = messages(report)
    assert "no example has a field for every output" in told["metric_on_references"]
    assert "(digit)" in told["metric_on_references"]


def test_an_example_without_its_label_is_named_at_once(tmp_path):
    """The metric raises there whatever the program answers: before any call."""
    lm, valset = world.lm(tmp_path), world.examples("v", 8)
    valset[3] = valset[3].without("answer")

    def same(example, prediction, trace=None):
        return float(prediction.answer == example.answer)

    with pytest.raises(PreflightError, match=str(valset[3].question)):
        check(lm, valset=valset, metric=same)
    assert lm.scripted.prompts == []


def test_half_a_character_is_no_prompt(tmp_path):
    """A record that was cut within a sign: its example fails, and the run goes on."""
    valset = world.examples("v", 8)
    valset[5] = valset[5].copy(question=f"{valset[5].question} \ud83d" + "x" * 99)
    assert check(world.lm(tmp_path), valset=valset).passed


def test_a_prompt_may_be_a_text(tmp_path):
    """A program or a metric may ask the LM in its own words, without a signature."""

    class Asks(Renames):
        def forward(self, question):
            dspy.settings.lm(f"Think about {question}.")
            return self.answer(question=question)

    assert check(world.lm(tmp_path), student=Asks()).passed


def test_labels_as_a_data_file_has_them_are_references(tmp_path):
    """A list of right answers is no reference; a number is the text of it."""
    listed = [e.copy(answer=[e.answer]) for e in world.examples("v", 8)]
    numbers = [e.copy(answer=int(e.answer)) for e in world.examples("v", 8)]

    def one_of(example, prediction, trace=None):
        return float(prediction.answer in example.answer)

    def same(example, prediction, trace=None):
        return float(prediction.answer == str(example.answer))

    for valset, metric in ((listed, one_of), (numbers, same)):
        report = check(world.lm(tmp_path), metric=metric, valset=valset)
        assert report.passed


def test_real_outputs_decide_what_a_reference_is(tmp_path):
    """A module's outputs are known after it ran: then a blind metric is refused."""

    class Same(Renames):
        def forward(self, question):
            return self.answer(question=question)

    def low(example, prediction, trace=None):
        return 0.3 if prediction.get("answer") else 0.0

    with pytest.raises(PreflightError) as raised:
        check(world.lm(tmp_path), metric=low, student=Same())
    assert failed(raised) == ["metric_on_references"]


def judged(example, prediction, trace=None):
    """Asks an LM."""
    judge = dspy.Predict("question, given -> answer")
    said = judge(question=example.question, given=prediction.answer).answer
    return int(said) / 9


def test_an_lm_judge_is_tried_on_one_example(tmp_path):
    """Each of its scores costs a call: not 50 references, only one and an empty one."""
    lm = world.lm(tmp_path, lambda prompt: '{"answer": "7"}')
    params = world.settings(preflight={"max_empty_score": 1.0})
    report = check(lm, params, metric=judged)
    scored = [c.value for c in report.checks if c.name == "metric_on_references"]
    assert scored == [0.7778]
    asked = sum("`given`" in prompt for prompt in lm.scripted.prompts)
    assert asked <= 8 + 1 + 2  # the probe's runs, the longest prompt, these two


@pytest.mark.parametrize("metric", [world.Score, "text", len, lambda example: 1.0])
def test_what_dspy_cannot_call_is_refused(tmp_path, metric):
    """A class, no callable, too few arguments: before any call."""
    lm = world.lm(tmp_path)
    with pytest.raises(PreflightError, match=r"role\.metric") as raised:
        check(lm, metric=metric)
    assert failed(raised) == ["metric_callable"]
    assert lm.scripted.prompts == []


@pytest.mark.parametrize(
    ("optimizer", "arguments", "name"),
    [
        ("miprov2", {"auto": "light"}, "miprov2_mode"),
        ("miprov2", {"num_trials": None}, "miprov2_mode"),
        ("miprov2", {"minibatch": True}, "miprov2_minibatch"),
        ("miprov2", {"max_bootstrapped_demos": 0}, "miprov2_demos"),
        ("miprov2", {"max_labeled_demos": 9}, "miprov2_demos"),
        ("miprov2", {"num_candidates": 1}, "miprov2_candidates"),
        ("gepa", {"max_metric_calls": 50}, "gepa_bound"),
        ("gepa", {"max_full_evals": None}, "gepa_bound"),
        ("gepa", {"max_full_evals": None, "max_metric_calls": 9}, "gepa_bound"),
        ("gepa", {"reflection_minibatch_size": 9}, "gepa_minibatch"),
        (
            "bootstrap_random_search",
            {"max_bootstrapped_demos": 0},
            "bootstrap_random_search_demos",
        ),
    ],
)
def test_arguments_that_conflict_are_refused(tmp_path, optimizer, arguments, name):
    """Each is known before the first call, and the setting is named."""
    lm = world.lm(tmp_path)
    params = world.settings(optimizer, **{optimizer: arguments})
    with pytest.raises(PreflightError, match=f"optimize.{optimizer}") as raised:
        check(lm, params)
    assert failed(raised) == [name]
    assert lm.scripted.prompts == []


def test_every_failure_is_in_one_error(tmp_path):
    """Two broken settings are two lines of one error."""
    params = world.settings(miprov2={"minibatch": True, "max_bootstrapped_demos": 0})
    with pytest.raises(PreflightError, match=r"2 setting\(s\)") as raised:
        check(world.lm(tmp_path), params)
    assert "optimize.miprov2.minibatch_size=35" in str(raised.value)


def test_a_missing_optuna_is_known_beforehand(tmp_path, monkeypatch):
    """It is an extra of DSPy's, which imports it after paid calls."""
    monkeypatch.setattr(offline, "find_spec", lambda name: None)
    lm = world.lm(tmp_path)
    with pytest.raises(PreflightError, match="pip install optuna"):
        check(lm)
    assert lm.scripted.prompts == []


def test_a_context_that_would_cut_is_refused(tmp_path):
    """Longest prompt, proposed instructions and answer must fit together."""
    lm = world.lm(tmp_path, context_tokens=1000)
    with pytest.raises(PreflightError, match=r"lm\.context_tokens=1000") as raised:
        check(lm)
    assert "task_lm_context" in failed(raised)


def test_the_longest_example_counts(tmp_path):
    """One long example in the trainset or the testset decides."""
    long = [dspy.Example(question="word " * 9000, answer="9").with_inputs("question")]
    for split in ("trainset", "testset"):
        examples = [*world.examples("z", 8), *long]
        with pytest.raises(PreflightError) as raised:
            check(world.lm(tmp_path / split), **{split: examples})
        assert "task_lm_context" in failed(raised)


def test_the_data_summary_must_fit_the_prompt_lm(tmp_path):
    """The proposer would otherwise go without it, with one line on stdout."""
    long = [
        dspy.Example(question=f"{i} " + "word " * 2000, answer="9").with_inputs(
            "question"
        )
        for i in range(8)
    ]
    aware = {"data_aware_proposer": True, "view_data_batch_size": 8}
    with pytest.raises(PreflightError, match="view_data_batch_size") as raised:
        check(world.lm(tmp_path), world.settings(miprov2=aware), trainset=long)
    assert failed(raised) == ["prompt_lm_context (view_data_batch_size)"]


class CuttingEngine:
    """Reports no more than 90 prompt tokens, as a server that cuts does."""

    most = 90

    def __init__(self, inner):
        self.inner = inner

    def complete(self, request):
        """One answer, cut."""
        response = self.inner.complete(request)
        read = min(self.most, response.usage.input_tokens)
        usage = dataclasses.replace(response.usage, input_tokens=read)
        return dataclasses.replace(response, usage=usage)


def test_a_server_that_cuts_gives_itself_away(tmp_path):
    """Ollama cuts long prompts silently; its count of tokens shows it."""
    lm = world.lm(tmp_path, provider="ollama")
    lm.provider.connect = lambda: CuttingEngine(lm.scripted)
    short = world.examples("v", 8)
    long = [dspy.Example(question="word " * 200, answer="9").with_inputs("question")]
    with pytest.raises(PreflightError, match="cuts long prompts") as raised:
        check(lm, valset=short, trainset=[*world.examples("t", 7), *long])
    assert failed(raised) == ["lm_reads_longest_prompt"]


@pytest.mark.parametrize(
    ("most", "name"), [(90, "lm_reads_longest_prompt"), (9, "lm_reads_prompt")]
)
def test_what_was_refused_is_refused_again(tmp_path, monkeypatch, most, name):
    """The probe's answers are cached by then, and still say what the server read."""
    monkeypatch.setattr(CuttingEngine, "most", most)
    long = [dspy.Example(question="word " * 200, answer="9").with_inputs("question")]
    for _ in range(2):
        lm = world.lm(tmp_path)
        lm.provider.connect = lambda lm=lm: CuttingEngine(lm.scripted)
        with pytest.raises(PreflightError, match="cut") as raised:
            check(lm, trainset=[*world.examples("t", 7), *long])
        assert name in failed(raised)


def test_a_mended_server_passes(tmp_path):
    """A kept answer that says that the prompt was cut is asked for again."""
    long = [dspy.Example(question="word " * 200, answer="9").with_inputs("question")]
    trainset = [*world.examples("t", 7), *long]
    lm = world.lm(tmp_path)
    lm.provider.connect = lambda: CuttingEngine(lm.scripted)
    with pytest.raises(PreflightError):
        check(lm, trainset=trainset)
    assert check(world.lm(tmp_path), trainset=trainset).passed


class Shape(dspy.Module):
    """Any predictors, called one after the other with what makes their inputs."""

    def __init__(self, predictor, times=1, **inputs):
        super().__init__()
        self.predictor = predictor
        self.times = times
        self.inputs = inputs

    def forward(self, question):
        """The last answer."""
        for _ in range(self.times):
            answered = self.predictor(question=question, **self.inputs)
        return dspy.Prediction(answer=answered.answer)


PIXEL = dspy.Image("data:image/png;base64," + "A" * 200_000)
SHAPES = {
    "n answers of one call": Shape(dspy.Predict("question -> answer", n=3)),
    "a history made inside": Shape(
        dspy.Predict("question, history: dspy.History -> answer"),
        history=dspy.History(messages=[{"question": "1 + 1", "answer": "2"}]),
    ),
    "an image": Shape(
        dspy.Predict("question, image: dspy.Image -> answer"), image=PIXEL
    ),
    "a typed input": Shape(
        dspy.Predict("question, limits: dict[str, list[int]] -> answer"),
        limits={"a": [1, 2]},
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_program_of_another_shape_passes(tmp_path, name):
    """What it makes in its forward can be neither empty text nor counted as text."""
    assert check(world.lm(tmp_path), student=SHAPES[name]).passed


def test_an_image_is_not_counted_as_text(tmp_path):
    """200,000 characters of it are no 50,000 tokens, nor does the server cut them."""
    report = check(world.lm(tmp_path), student=SHAPES["an image"])
    assert "lm_reads_longest_prompt" not in {c.name for c in report.checks}


@pytest.mark.parametrize(("times", "n_runs"), [(1, 3), (4, 8)])
def test_the_probe_counts_the_calls_of_a_run(tmp_path, times, n_runs):
    """Three runs, or eight where a run is more than a call of each predictor."""
    for _ in range(2):  # cached or not
        student = Shape(dspy.Predict("question -> answer", n=2), times)
        report = check(world.lm(tmp_path), student=student)
        assert report.calls_per_run == [2 * times] * (8 if times == 1 else n_runs)


def test_a_program_without_predictors_is_told(tmp_path):
    """There is no prompt to optimize; the other checks would speak of other things."""

    class Plain(dspy.Module):
        def forward(self, question):
            return dspy.Predict("question -> answer")(question=question)

    with pytest.raises(PreflightError, match=r"each dspy\.Predict") as raised:
        check(world.lm(tmp_path), student=Plain())
    assert failed(raised) == ["has_predictors"]


@pytest.mark.parametrize("split", ["trainset", "valset", "testset"])
def test_forgotten_inputs_are_told(tmp_path, split):
    """An example that does not say which of its fields are inputs names the call."""
    bare = [dspy.Example(question=f"b{i}", answer="9") for i in range(8)]
    with pytest.raises(PreflightError, match=r"role\.record=.*with_inputs") as raised:
        check(world.lm(tmp_path), **{split: bare})
    assert failed(raised) == ["inputs_marked"]


def test_a_prompt_is_measured_by_its_own_tokens(tmp_path):
    """A cached answer reports no tokens; another run's rows are not this one's."""
    long = dspy.Example(question="word " * 900, answer="9").with_inputs("question")
    lm = world.lm(tmp_path)
    with use_lm(lm, stage="optimize"):
        world.student()(**long.inputs())

    def beside(example, prediction, trace=None):
        other = world.lm(tmp_path)
        other.meter.run_id = "beside"
        with use_lm(other, stage="preflight"):
            other(example.question)
        return world.metric(example, prediction, trace)

    report = check(lm, valset=[long, *world.examples("v", 7)], metric=beside)
    told = {c.name: c for c in report.checks}
    assert 5 < told["lm_reads_prompt"].value < 8


def test_bound_that_would_never_be_reached_is_refused(tmp_path):
    """Who sets 5 dollars and has an LM of unknown cost would rely on nothing."""
    lm = world.lm(tmp_path)
    params = world.settings(budget={"max_cost_usd": 5})
    assert check(lm, params).passed
    lm.provider.cost = lambda answer: None
    with pytest.raises(PreflightError, match=r"lm\.price") as raised:
        check(lm, params)
    assert failed(raised) == ["cost_is_known"]


def test_shared_examples_are_counted(tmp_path):
    """An example in two splits is refused, in the testset too."""
    shared = world.examples("v", 2)
    with pytest.raises(PreflightError, match="valset, testset=2") as raised:
        check(world.lm(tmp_path), testset=shared)
    assert failed(raised) == ["splits_disjoint"]


def test_images_of_one_size_are_not_one_example(tmp_path):
    """A representation cuts an image; what is compared holds all of it."""

    def scans(marks):
        urls = [f"data:image/png;base64,{mark}AAA" for mark in marks]
        made = [dspy.Example(question=dspy.Image(url), answer="9") for url in urls]
        return [example.with_inputs("question") for example in made]

    splits = {"trainset": scans("ABCD"), "valset": scans("EFGH")}
    report = check(
        world.lm(tmp_path), world.settings("bootstrap_random_search"), **splits
    )
    assert report.passed


def test_an_empty_split_is_refused(tmp_path):
    """No valset, no optimization."""
    with pytest.raises(PreflightError) as raised:
        check(world.lm(tmp_path), valset=[])
    assert failed(raised) == ["splits_filled"]


PROMPTLESS = dspy.Predict("question -> answer")
ANSWERS = {}


class Cached(dspy.Module):
    """Answers what it was asked before from a global dict."""

    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question):
        """The answer of whoever was asked first."""
        if question not in ANSWERS:
            ANSWERS[question] = self.ask(question=question)
        return ANSWERS[question]


class Elsewhere(Cached):
    """Has a predictor and asks another one."""

    def forward(self, question):
        """One call."""
        return PROMPTLESS(question=question)


class Own(Cached):
    """Answers what it was asked before itself."""

    @functools.cache  # noqa: B019 -- as people write it
    def forward(self, question):
        """One call."""
        return self.ask(question=question)


@pytest.mark.parametrize("program", [Cached, Cached, Elsewhere])
def test_a_program_that_hides_its_candidates_is_refused(tmp_path, program):
    """Also the second time, when it remembers; a memory of each copy hides nothing."""
    with pytest.raises(PreflightError, match="asks nothing new") as raised:
        check(world.lm(tmp_path), student=program())
    assert "candidates_are_asked" in failed(raised)
    assert check(world.lm(tmp_path), student=Own()).passed


class Guarded(Cached):
    """Asks a predictor of the moment first, and goes on only if that says a number."""

    def forward(self, question):
        """The answer to what passes the guard."""
        guard = dspy.Predict("question -> answer")(question=question)
        if not guard.answer.isdigit():
            return guard
        return self.ask(question=question)


def test_a_guard_that_made_up_answers_do_not_pass_is_no_mistake(tmp_path):
    """Whether the program's own predictors are asked, the LM's answers tell."""
    assert check(world.lm(tmp_path), student=Guarded()).passed


def test_a_student_that_cannot_be_stored_is_refused(tmp_path, monkeypatch):
    """What would be lost after hours is tried first."""

    def forgetful(document, program=None):
        return world.student()

    monkeypatch.setattr(offline, "load_program_from_components", forgetful)
    with pytest.raises(PreflightError, match="renders other prompts") as raised:
        check(world.lm(tmp_path))
    assert failed(raised) == ["student_survives_storage"]


def test_a_student_that_storage_refuses_is_named(tmp_path, monkeypatch):
    """The storage's own sentence is the message."""

    def refusing(student):
        msg = "cannot encode demos[0]"
        raise ValueError(msg)

    monkeypatch.setattr(offline, "extract_program_components", refusing)
    with pytest.raises(PreflightError, match=r"cannot encode demos\[0\]"):
        check(world.lm(tmp_path))


def test_a_full_disk_is_refused(tmp_path):
    """More room than any disk has is not there."""
    params = world.settings(preflight=PreflightParams(min_free_disk_mb=1e12))
    with pytest.raises(PreflightError, match="min_free_disk_mb") as raised:
        check(world.lm(tmp_path), params, disk_path=tmp_path / "not" / "there")
    assert failed(raised) == ["disk_has_room"]


def test_a_provider_s_failed_check_is_one_of_the_preflight(tmp_path):
    """It stops the preflight before the LM is asked."""
    lm = world.lm(tmp_path)
    lm.provider.check_provider = lambda: [
        Check(
            name="ollama_pulled",
            setting="lm.model",
            value=lm.params.model,
            allowed="a pulled model",
            passed=False,
            message="ollama pull it",
        )
    ]
    with pytest.raises(PreflightError, match="ollama pull it"):
        check(lm)
    assert lm.scripted.prompts == []


def test_an_lm_that_varies_is_said_with_the_setting(tmp_path, caplog):
    """One more call, counted in the forecast, finds another answer to one prompt."""
    digits = iter(range(100))
    lm = world.lm(
        tmp_path, world.task_only(lambda _: f'{{"answer": "{next(digits)}"}}')
    )
    report = check(lm)
    said = next(c for c in report.checks if c.name == "answers_repeat")
    assert said.passed
    assert said.setting == "evaluate.repeats"
    assert "two answers to one prompt" in said.message
    assert "evaluate.repeats=3" in caplog.text
    assert forecast(world.job(lm), report).preflight == report.extra_calls >= 1
    steady = check(world.lm(tmp_path / "steady"))
    said = next(c for c in steady.checks if c.name == "answers_repeat")
    assert (said.value, said.message) == ("the same answer", "")


@pytest.mark.parametrize("optimizer", ["gepa", "bootstrap_random_search"])
def test_the_other_optimizers_pass_too(tmp_path, optimizer):
    """Their arguments, demos and prompts are checked by the same preflight."""
    report = check(world.lm(tmp_path), world.settings(optimizer))
    names = {c.name for c in report.checks}
    proposes = "prompt_lm_context (reflection_minibatch_size)" in names
    assert proposes == (optimizer == "gepa")


def test_the_original_run_is_refused(tmp_path):
    """Minibatches larger than the valset: no call is made."""
    lm = world.lm(tmp_path, lambda prompt: world.GARBAGE)
    params = world.settings(miprov2={"minibatch": True, "num_trials": 4})
    with pytest.raises(PreflightError) as raised:
        check(lm, params, metric=generous)
    assert failed(raised) == ["miprov2_minibatch"]
    assert lm.scripted.prompts == []


def test_an_lm_lost_during_the_longest_prompt_is_named(tmp_path):
    """The last call of the preflight may fail as any other."""
    lm = world.lm(tmp_path, world.failing_after(3, LOST))
    with pytest.raises(PreflightError, match="connection refused") as raised:
        check(lm)
    assert failed(raised) == ["lm_reads_longest_prompt"]


def test_a_prompt_lm_of_its_own_that_answers_passes(tmp_path):
    """It is asked for one word."""
    prompt_lm = world.lm(tmp_path / "p")
    prompt_lm.slug = "other"
    report = check(world.lm(tmp_path), prompt_lm=prompt_lm)
    assert "prompt_lm_answers" in {c.name for c in report.checks if c.passed}


def test_a_metric_that_breaks_on_real_outputs_is_named(tmp_path):
    """References and empty outputs pass, what the LM really writes does not."""

    def surprised(example, prediction, trace=None):
        if getattr(prediction, "answer", "") not in ("", "9"):
            msg = "never seen that"
            raise KeyError(msg)
        return world.metric(example, prediction)

    lm = world.lm(tmp_path, lambda prompt: '{"answer": "4"}')
    with pytest.raises(PreflightError, match="never seen that") as raised:
        check(lm, metric=surprised)
    assert "metric_on_outputs" in failed(raised)


class WithoutSchema:
    """Refuses every request that brings a JSON schema, as older servers do."""

    def __init__(self, inner, error):
        self.inner = inner
        self.error = error

    def complete(self, request):
        """One answer to plain JSON."""
        if "schema" in repr(request.config.response_format):
            raise self.error
        return self.inner.complete(request)


@pytest.mark.parametrize(
    "error", [InvalidRequestError("bad field"), ServerError("grammar", status=500)]
)
def test_a_server_without_json_schema_is_told_the_setting(tmp_path, error):
    """One sentence, found by asking once more without the schema."""
    lm = world.lm(tmp_path)
    lm.provider.connect = lambda: WithoutSchema(lm.scripted, error)
    with pytest.raises(
        PreflightError, match=r"structured_output=json_object"
    ) as raised:
        check(lm)
    assert failed(raised) == ["lm_takes_json_schema"]
    plain = world.lm(tmp_path, structured_output="json_object")
    plain.provider.connect = lambda: WithoutSchema(plain.scripted, error)
    assert check(plain).passed


def test_an_interrupt_is_no_failed_check(tmp_path):
    """Ctrl-C while the probe is answered ends the preflight; nothing more is paid."""

    def interrupted(prompt):
        stop_lms_in_use(Interrupted())
        return world.answer(prompt)

    lm = world.lm(tmp_path, interrupted)
    with pytest.raises(InterruptedRunError, match="interrupted by the user"):
        check(lm)
    assert len(lm.scripted.prompts) == 1


def refusing(n_calls):
    """Answers the probe; refuses that many of the calls after it."""

    def respond(prompt):
        calls.append(prompt)
        if 3 < len(calls) <= 3 + n_calls:
            raise LMInvalidRequestError("at least 16 tokens, please")
        return world.answer(prompt)

    calls = []
    return respond


def test_a_refused_longest_prompt_is_a_failed_check(tmp_path):
    """The check says what the server said."""
    lm = world.lm(tmp_path, refusing(3), provider="openai")
    with pytest.raises(PreflightError, match="at least 16 tokens") as raised:
        check(lm)
    assert failed(raised) == ["lm_reads_longest_prompt"]


def test_a_server_that_gives_no_single_token_passes(tmp_path):
    """The longest prompt is then asked as the run asks it."""
    assert check(world.lm(tmp_path, refusing(1), provider="openai")).passed


def test_the_probe_stays_within_the_budget(tmp_path):
    """A bound of two calls is not passed by the preflight; that is no failed check."""
    lm = world.lm(tmp_path)
    report = check(lm, world.settings(budget={"max_calls": 2}))
    assert report.passed
    assert len(lm.scripted.prompts) == 2
