"""The objective: the weighted mean of the rubric and the judgement's components."""

import math
from collections.abc import Mapping
from typing import Any

import dspy

from po_optimizer.errors import DocumentError, SettingError
from po_optimizer.product_owner.metric.judgement import JUDGED_NAMES, judge_by_reference
from po_optimizer.product_owner.metric.outputs import read_output
from po_optimizer.product_owner.metric.rubric import (
    PART_NAMES,
    Component,
    judge_by_rubric,
)
from po_optimizer.product_owner.schema import ProductOwnerReview, Requirements
from po_optimizer.roles.score import Score

DEFAULT_WEIGHTS: Mapping[str, float] = {
    "rubric": 0.10,
    "verdict": 0.20,
    "conflicts": 0.30,
    "gaps": 0.15,
    "grounding": 0.10,
    "coherence": 0.10,
    "ids": 0.02,
    "consistency": 0.03,
}
"""Shares of the objective; only their proportions matter."""


def score_outputs(
    requirements_yaml: Requirements | Mapping[str, Any] | str,
    product_vision: Any,
    product_owner_review: Any,
    reference: Any = None,
    *,
    weights: Mapping[str, float] | None = None,
) -> Score:
    """The score of one pair of outputs, in [0, 1], higher is better.

    Args:
        requirements_yaml: The requirements that were reviewed.
        product_vision: The vision as a model, a mapping or YAML text.
        product_owner_review: The review, likewise.
        reference: The review of a careful Product Owner, likewise. None: the value is
            the rubric.
        weights: Replaces those of `DEFAULT_WEIGHTS` that it names; not negative.

    Returns:
        The rubric's four parts and the judgement's components by name; 0.0 in all,
        and `unusable`, when an output cannot be read.

    Raises:
        DocumentError: The requirements or the reference cannot be read.
        SettingError: A weight is unknown or cannot be used.
    """
    shares = _weights(weights)
    requirements = Requirements.from_yaml(requirements_yaml)
    expected = ProductOwnerReview.from_yaml(reference) if reference else None
    try:
        vision = read_output(product_vision, "product_vision")
        review = read_output(product_owner_review, "product_owner_review")
    except DocumentError as error:
        names = [*PART_NAMES, *(() if expected is None else JUDGED_NAMES)]
        nothing, why = dict.fromkeys(names, 0.0), str(error)
        return Score(0.0, nothing, 0.0, feedback=why, unusable=why)
    parts = judge_by_rubric(requirements, vision, review)
    rubric = sum(part.value for part in parts) / len(parts)
    judged: tuple[Component, ...] = ()
    if expected is not None:
        judged = judge_by_reference(requirements, vision, review, expected)
    values = {component.name: component.value for component in (*parts, *judged)}
    reasons = [
        f"{component.name}: {why}"
        for component in (*judged, *parts)
        for why in component.feedback
    ]
    objective = rubric
    if judged:
        earned = {"rubric": rubric, **values}
        points = math.fsum(share * earned[name] for name, share in shares.items())
        objective = points / math.fsum(shares.values())
    return Score(objective, values, rubric, "\n".join(reasons))


# GEPA calls a metric with five arguments; the last two are accepted for it.
def product_owner_metric(
    example: dspy.Example,
    prediction: Any,
    trace: Any = None,
    pred_name: str | None = None,
    pred_trace: Any = None,
    *,
    weights: Mapping[str, float] | None = None,
) -> Score:
    """The score of a prediction against its example's reference.

    Never raises because of what an LM answered: that is 0.0 with `unusable` set.

    Args:
        example: Its `product_owner_review` is the reference; without one the value
            is the rubric.
        prediction: With `product_vision` and `product_owner_review`.
        trace: Not used, like the two that follow: the score does not depend on them.
        pred_name: See `trace`.
        pred_trace: See `trace`.
        weights: As in `score_outputs`.

    Raises:
        DocumentError: The example's requirements or reference cannot be read.
        SettingError: A weight is unknown or cannot be used.
    """
    outputs = prediction if isinstance(prediction, Mapping | dspy.Example) else {}
    return score_outputs(
        example.get("requirements_yaml"),
        outputs.get("product_vision"),
        outputs.get("product_owner_review"),
        example.get("product_owner_review"),
        weights=weights,
    )


def _weights(changed: Mapping[str, float] | None) -> dict[str, float]:
    """The default weights with the changed ones replaced."""
    weights = {**DEFAULT_WEIGHTS, **(changed or {})}
    unknown = set(weights) - set(DEFAULT_WEIGHTS)
    usable = all(
        isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0
        for weight in weights.values()
    )
    if unknown or not usable or sum(weights.values()) <= 0:
        raise SettingError(
            "role.metric_args.weights",
            changed,
            f"numbers of 0 or more, not all 0, for {', '.join(DEFAULT_WEIGHTS)}",
            "Correct it in the parameters, or leave it out for the defaults.",
        )
    return weights
