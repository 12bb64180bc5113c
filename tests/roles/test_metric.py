"""Metrics of any shape that DSPy's optimizers take, and what their errors mean."""

import dataclasses
import datetime
import enum
import functools
from types import SimpleNamespace

import dspy
import numpy as np
import pytest
from dspy.evaluate import SemanticF1, answer_exact_match
from dspy.teleprompt.gepa.gepa_utils import ScoreWithFeedback
from dspy.utils.exceptions import AdapterParseError
from pydantic import BaseModel

from po_optimizer.errors import SettingError
from po_optimizer.params.project import RoleParams
from po_optimizer.roles.build import load_metric
from po_optimizer.roles.metric import (
    JudgeUnreadableError,
    Measure,
    best_form,
    call_metric,
    metric_problem,
    references,
)
from po_optimizer.roles.score import Score, ScoreError

GIVEN = ("example", "prediction", "trace", "pred_name", "pred_trace")


class Callable:
    """An object with its own call and a method."""

    def __call__(self, example, pred, trace=None):
        """What it was given."""
        return (example, pred, trace)

    def method(self, example, pred):
        """What it was given."""
        return (example, pred)


def by_keyword(e, p, *, trace=None, pred_name):
    """By name only."""
    return (e, p, trace, pred_name)


SHAPES = {
    "two": (lambda e, p: (e, p), 2),
    "three": (lambda e, p, t: (e, p, t), 3),
    "three_optional": (lambda e, p, t=None: (e, p, t), 3),
    "four": (lambda e, p, t, n: (e, p, t, n), 4),
    "five": (lambda e, p, t, n, s: (e, p, t, n, s), 5),
    "five_optional": (lambda e, p, t=None, n=None, s=None: (e, p, t, n, s), 5),
    "any": (lambda *given: given, 5),
    "two_and_any_names": (lambda e, p, **more: (e, p), 2),
    "object": (Callable(), 3),
    "method": (Callable().method, 2),
    "partial": (functools.partial(lambda e, p, t, w: (e, p, t), w=1), 3),
    "keyword_only": (
        lambda e, p, *, trace=None, pred_name: (e, p, trace, pred_name),
        4,
    ),
}


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_metric_gets_what_it_takes_of_what_dspy_gives(shape, n):
    """What it does not take is left out; what it requires besides is None."""
    metric, takes = SHAPES[shape]
    assert metric_problem(metric) == ""
    result = call_metric(metric, *GIVEN[:n])
    filled = (*GIVEN[:n], None, None, None)[:takes]
    assert result == (GIVEN[:n] if shape == "any" else filled)


def test_a_third_argument_of_another_meaning_keeps_its_default():
    """DSPy's Evaluate gives two arguments: a threshold is no trace."""
    assert call_metric(lambda e, p, threshold=0.5: threshold, "e", "p") == 0.5


async def awaited(example, prediction):
    """No metric of DSPy's."""
    return 1.0


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        (awaited, "async"),
        (SemanticF1, "SemanticF1 is a class"),
        (lambda e: 1.0, "cannot be called as metric"),
        (lambda e, p, *, weight: 1.0, "weight"),
        (lambda e, p, a, b, c, d: 1.0, "requires 6"),
        (0.5, "not callable"),
    ],
)
def test_what_cannot_be_called_is_said(metric, problem):
    """A sentence that names the cause."""
    assert problem in metric_problem(metric)


ONE = dspy.Example(question="q", answer="Paris").with_inputs("question")


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.25), 0.25),
        (np.int64(1), 1.0),
        (np.bool_(True), 1.0),
        (np.array(0.5), 0.5),
        (1.0000000000000002, 1.0),
        (-1e-17, 0.0),
        (dspy.Prediction(score=0.5, feedback="so"), 0.5),
        (dspy.Prediction(score=True), 1.0),
        (dspy.Prediction(score=np.float32(0.5), feedback=None), 0.5),
        (ScoreWithFeedback(score=0.5, feedback="so"), 0.5),
        (SimpleNamespace(score=0.5), 0.5),
    ],
)
def test_any_number_is_a_score(result, value):
    """Numpy's numbers, DSPy's results, and what rounding adds to 1.0."""
    assert Measure(lambda e, p: result)(ONE, dspy.Prediction(answer="x")) == value


@pytest.mark.parametrize(
    "result",
    [
        {"score": 0.5},
        (0.5, "so"),
        dspy.Prediction(answer="x"),
        dspy.Prediction(score=None),
        np.array([0.5, 0.5]),
    ],
)
def test_what_is_no_number_is_one_sentence(result):
    """DSPy cannot sum these up either."""
    with pytest.raises(ScoreError, match=r"a number in \[0, 1\] or dspy.Prediction"):
        Measure(lambda e, p: result)(ONE, dspy.Prediction(answer="x"))


def length(example, prediction, trace=None):
    """Raises on what is no number of the example."""
    return int(prediction.answer) / len(example.answer)


def test_an_output_that_the_metric_raises_at_is_unusable():
    """Another output of the example has a score: this one's reader was surprised."""
    measure = Measure(length)
    assert measure(ONE, dspy.Prediction(answer="5")) == 1.0
    score = measure(ONE, dspy.Prediction(answer="five"))
    assert score == 0.0
    assert "ValueError: invalid literal" in score.unusable


def test_a_metric_may_assert_that_an_output_is_right():
    """The example's own answer in its place gets a score."""

    def asserts(example, prediction, trace=None):
        assert prediction.answer == example.answer, "wrong"
        return 1.0

    wrong = dspy.Prediction(answer="Rome", context=["c"])
    assert "AssertionError: wrong" in Measure(asserts)(ONE, wrong).unusable


def test_a_metric_that_changes_what_it_gets_changes_nothing():
    """Labels and outputs are read again: by the next program, in demos, in reports."""

    def destructive(example, given):
        return sum(example.cities.pop() == given.cities.pop(0) for _ in range(2)) / 2

    example = dspy.Example(cities=["Bern", "Graz"], own=[])
    example.own.append(example.own)  # a list within itself ends, too
    given = dspy.Prediction(cities=["Graz", "Bern"])
    measure = Measure(destructive)
    assert [measure(example, given) for _ in range(2)] == [1.0, 1.0]
    assert (example.cities, given.cities) == (["Bern", "Graz"], ["Graz", "Bern"])


def test_a_metric_may_change_the_fields_of_typed_outputs():
    """A list of an order's items, popped while it is counted, is there next time."""

    @dataclasses.dataclass(frozen=True)
    class Order:
        items: list[str]

    class Orders(BaseModel):
        orders: list[Order]

    def pops(example, given):
        return float(given.answer.orders[0].items.pop() == example.answer)

    given = dspy.Prediction(answer=Orders(orders=[Order(["soap"])]))
    measure = Measure(pops)
    example = dspy.Example(answer="soap")
    assert [measure(example, given) for _ in range(2)] == [1.0, 1.0]
    assert given.answer == Orders(orders=[Order(["soap"])])


def test_a_number_outside_the_range_is_the_metrics_fault():
    """Not the output's, which may be the best of all."""
    measure = Measure(lambda example, given: Score(given.answer))
    assert measure(dspy.Example(), dspy.Prediction(answer=1.0)) == 1.0
    with pytest.raises(ScoreError, match=r"got 1\.5"):
        measure(dspy.Example(), dspy.Prediction(answer=1.5))


def test_a_metric_that_raises_at_any_output_of_an_example_is_broken():
    """A label that is missing is not the program's failure."""
    measure = Measure(length)
    measure(ONE, dspy.Prediction(answer="5"))
    with pytest.raises(AttributeError):
        measure(ONE.without("answer"), dspy.Prediction(answer="5"))


def test_an_answer_of_a_judge_that_cannot_be_read_is_no_score():
    """It says nothing about the program."""

    def judge(example, prediction):
        raise AdapterParseError("JSONAdapter", dspy.Signature("a -> b"), "no JSON")

    with pytest.raises(JudgeUnreadableError, match="no JSON"):
        Measure(judge)(ONE, dspy.Prediction(answer="5"))


@pytest.mark.parametrize(
    "path",
    [
        "dspy.evaluate.answer_exact_match",
        "dspy.evaluate:answer_exact_match",
        "dspy.evaluate.metrics:answer_exact_match",
    ],
)
def test_dspys_exact_match_is_a_metric_by_path(path):
    """With a dot or a colon."""
    metric = load_metric(RoleParams(metric=path))
    assert metric is answer_exact_match
    assert Measure(metric)(ONE, dspy.Prediction(answer="paris.")) == 1.0


def test_arguments_of_a_function_are_bound():
    """`frac` makes an F1 of the exact match."""
    metric = load_metric(
        RoleParams(metric="dspy.evaluate.answer_exact_match", metric_args={"frac": 0.5})
    )
    assert Measure(metric)(ONE, dspy.Prediction(answer="Paris, France"), [], "a", [])


def test_a_metric_class_is_made_with_its_arguments():
    """SemanticF1 is a module whose instances score."""
    metric = load_metric(
        RoleParams(
            metric="dspy.evaluate.SemanticF1", metric_args={"decompositional": True}
        )
    )
    assert isinstance(metric, SemanticF1)
    lm = dspy.utils.DummyLM([{"reasoning": "r", "recall": "1.0", "precision": "0.5"}])
    example = dspy.Example(question="q", response="r")
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
        plain = load_metric(RoleParams(metric="dspy.evaluate:SemanticF1"))
        score = Measure(plain)(example, dspy.Prediction(response="r"), None, "a", None)
    assert round(score, 3) == 0.667


def test_arguments_that_a_metric_refuses_are_told():
    """The error names role.metric_args."""
    for path in ("dspy.evaluate.answer_exact_match", "dspy.evaluate.SemanticF1"):
        with pytest.raises(SettingError, match=r"role.metric_args=.*nosuch"):
            load_metric(RoleParams(metric=path, metric_args={"nosuch": 1}))


def test_an_async_metric_is_refused_by_its_path():
    """The sentence says what to make of it."""
    with pytest.raises(SettingError, match="make it a plain function"):
        load_metric(RoleParams(metric="tests.roles.test_metric:awaited"))


class Color(enum.Enum):
    """A closed set."""

    RED = "red"


class Point(BaseModel):
    """A model."""

    x: int


@pytest.mark.parametrize(
    ("label", "annotation", "answer"),
    [
        ("red", Color, Color.RED),
        ("2026-03-04", datetime.date, datetime.date(2026, 3, 4)),
        ({"x": 1}, Point, Point(x=1)),
        ([{"x": 1}], list[Point], [Point(x=1)]),
        (7, str, "7"),
        ("7", int, 7),
        (None, str | None, None),
    ],
)
def test_labels_become_what_a_program_gives(label, annotation, answer):
    """Data files hold texts, numbers, dicts; the labels as they stand come second."""
    example = dspy.Example(question="q", out=label).with_inputs("question")
    forms = references(example, ["out", "reasoning"], {"out": annotation})
    assert [form.out for form in forms] == [answer, label][: 1 + (answer != label)]


@pytest.mark.parametrize(
    ("label", "annotation"),
    [(["Paris", "paris"], str), (None, str), ("blue", Color), ({"y": 1}, Point)],
)
def test_a_label_of_another_type_is_no_reference(label, annotation):
    """Several right answers where the program gives one, or none at all."""
    example = dspy.Example(question="q", out=label).with_inputs("question")
    assert references(example, ["out"], {"out": annotation}) == []


@pytest.mark.parametrize(
    "metric",
    [
        lambda e, p, trace=None: p.out.x == e.out["x"],
        lambda e, p, trace=None: p.out["x"] == e.out["x"],
    ],
)
def test_the_metric_shows_which_form_it_reads(metric):
    """It may read the model that the signature names, or the dict of the data."""
    example = dspy.Example(question="q", out={"x": 1}).with_inputs("question")
    forms = references(example, ["out"], {"out": Point})
    form, score = best_form(Measure(metric), example, forms)
    assert score == metric(example, form) == 1.0


def test_a_form_that_the_metric_can_use_is_better():
    """Both forms score 0.0: the one that it cannot read says nothing of the answer."""
    example = dspy.Example(question="q", out={"x": 1}).with_inputs("question")
    measure = Measure(lambda e, p, trace=None: float(p.out["x"] > 1))
    forms = references(example, ["out"], {"out": Point})
    assert best_form(measure, example, forms) == (forms[1], 0.0)


def test_a_bad_first_output_is_no_defect_of_the_metric():
    """The labels have the output's type in its place, although the data has dicts."""
    example = dspy.Example(question="q", out={"x": 1}).with_inputs("question")
    measure = Measure(lambda e, p, trace=None: float(p.out.x > p.more.x))
    bad = dspy.Prediction(out=Point.model_construct(x=None), more=Point(x=0))
    assert measure(example, bad).unusable is not None
