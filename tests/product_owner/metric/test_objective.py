import math
import statistics
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from po_optimizer.errors import DocumentError, SettingError
from po_optimizer.product_owner.metric import product_owner_metric, score_outputs
from po_optimizer.product_owner.metric.objective import DEFAULT_WEIGHTS
from po_optimizer.product_owner.schema import Requirements
from po_optimizer.roles.build import load_metric
from po_optimizer.roles.score import Score
from tests.product_owner.records import (
    PRODUCT_OWNER,
    REQUIREMENTS,
    records,
    review,
    vision,
)


def answer_of(example: dspy.Example) -> dspy.Prediction:
    """The example's reference, as if the program had answered it."""
    return dspy.Prediction(
        product_vision=example.product_vision,
        product_owner_review=example.product_owner_review,
    )


def test_value_is_the_weighted_mean() -> None:
    """The value follows from the rubric, the components and the default weights."""
    score = score_outputs(
        REQUIREMENTS, vision(), review(status="aligned", conflicts=[]), review()
    )
    parts = {**score.components, "rubric": score.rubric}
    expected = sum(share * parts[name] for name, share in DEFAULT_WEIGHTS.items())
    assert score == pytest.approx(expected, abs=1e-12)
    assert 0 < score < 1


def test_default_weights_sum_to_one() -> None:
    """The weights in the documentation are shares."""
    assert math.fsum(DEFAULT_WEIGHTS.values()) == pytest.approx(1.0)


def test_without_reference_the_value_is_the_rubric() -> None:
    """Nothing is judged that nothing is known about."""
    score = score_outputs(REQUIREMENTS, vision(), review(status="fine"))
    assert score.value == score.rubric == pytest.approx(1 - 1 / 64)
    assert "verdict" not in score.components


@pytest.mark.parametrize(
    ("given_vision", "given_review"),
    [(None, None), ("", ""), (vision(), None), ({}, review()), (vision(), "a: [")],
)
def test_unreadable_output_is_zero_in_all(given_vision: Any, given_review: Any) -> None:
    """One output that cannot be read makes everything 0.0, with the reason."""
    score = score_outputs(REQUIREMENTS, given_vision, given_review, review())
    assert score == 0.0
    assert score.rubric == 0.0
    assert set(score.components.values()) == {0.0}
    assert len(score.components) == 11
    assert "cannot be read" in str(score.unusable)


@pytest.mark.parametrize("prediction", [None, dspy.Prediction(), {}, "text"])
def test_empty_predictions_are_zero(prediction: Any) -> None:
    """What DSPy hands over for a failed example is exactly 0.0, never 1/64."""
    score = product_owner_metric(records()[0].to_example(), prediction)
    assert score == 0.0
    assert score.unusable


def test_references_are_the_ceiling() -> None:
    """Each scores 1.000 against itself, but for what four lack in form or words."""
    examples = [record.to_example() for record in records()]
    values = [product_owner_metric(one, answer_of(one)) for one in examples]
    lower = {e.concept_id: v for e, v in zip(examples, values, strict=True) if v < 1}
    assert set(lower) == {"PO-B06", "PO-C08", "PO-D24", "PO-E32"}
    assert min(values) > 0.98


def test_references_of_other_records_score_clearly_lower() -> None:
    """A copied demo earns nearly the whole rubric, and half of the objective."""
    examples = [record.to_example() for record in records()]
    others = [*examples[61:], *examples[:61]]
    scores = [
        product_owner_metric(one, answer_of(other))
        for one, other in zip(examples, others, strict=True)
    ]
    assert statistics.mean(score.rubric or 0.0 for score in scores) > 0.9
    assert statistics.mean(scores) < 0.55
    assert max(scores) < 0.9


def test_requirements_may_be_read_already() -> None:
    """A model or a mapping serves as well as text."""
    requirements = Requirements.from_yaml(REQUIREMENTS)
    for form in (requirements, requirements.model_dump(), f"```\n{REQUIREMENTS}```"):
        assert score_outputs(form, vision(), review()) == 1.0


def test_gepa_arguments_are_accepted() -> None:
    """GEPA's five positional arguments give the same score."""
    example = records()[0].to_example()
    score = product_owner_metric(example, answer_of(example), None, "write", [])
    assert score == product_owner_metric(example, answer_of(example))


def test_weights_are_parameters() -> None:
    """`role.metric_args` reach the metric: the rubric alone is one setting away."""
    only = {name: float(name == "rubric") for name in DEFAULT_WEIGHTS}
    own = {"metric_args": {"weights": only}}
    metric = load_metric(PRODUCT_OWNER.model_copy(update=own))
    examples = [record.to_example() for record in records()[:2]]
    score = Score.of(metric(examples[0], answer_of(examples[1])))
    assert score.value == score.rubric


@pytest.mark.parametrize(
    "weights",
    [
        {"tone": 1.0},
        {"rubric": -1.0},
        {"rubric": math.nan},
        {"rubric": "high"},
        dict.fromkeys(DEFAULT_WEIGHTS, 0.0),
    ],
)
def test_unusable_weights_are_refused(weights: dict[str, Any]) -> None:
    """The error names the setting and the components that there are."""
    with pytest.raises(
        SettingError, match=r"metric_args\.weights=.*verdict, conflicts"
    ):
        score_outputs(REQUIREMENTS, vision(), review(), weights=weights)


@pytest.mark.parametrize(
    "example",
    [
        dspy.Example(concept="no requirements"),
        dspy.Example(requirements_yaml="a: ["),
        dspy.Example(requirements_yaml=REQUIREMENTS, product_owner_review="a: ["),
    ],
)
def test_a_broken_example_is_our_error(example: dspy.Example) -> None:
    """An example that cannot be judged raises; it is never scored zero."""
    prediction = dspy.Prediction(product_vision=vision(), product_owner_review=review())
    with pytest.raises(DocumentError):
        product_owner_metric(example, prediction)


NAMES = [*vision(), *review(), "aligned", "gaps", "conflicts"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(ANYTHING, ANYTHING)
@settings(max_examples=75, deadline=None)
def test_any_output_has_a_score(anything: Any, more: Any) -> None:
    """No LM output makes the metric raise or leave [0, 1]."""
    example = records()[0].to_example()
    outputs = dspy.Prediction(product_vision=anything, product_owner_review=more)
    for prediction in (outputs, {"product_vision": vision(), **outputs.toDict()}):
        score = product_owner_metric(example, prediction)
        assert 0.0 <= score <= 1.0
        assert set(map(type, score.components.values())) == {float}


@given(st.sampled_from([*vision(), *review()]), ANYTHING)
@settings(max_examples=75, deadline=None)
def test_any_field_value_has_a_score(name: str, anything: Any) -> None:
    """Nor does one wrong field among right ones."""
    given_vision, given_review = vision(), review()
    (given_vision if name in given_vision else given_review)[name] = anything
    score = score_outputs(REQUIREMENTS, given_vision, given_review, review())
    assert 0.0 <= score <= 1.0
