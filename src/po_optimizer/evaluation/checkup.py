"""What a metric can tell apart, seen before it is trusted."""

import random
from collections.abc import Sequence
from html import escape
from statistics import fmean

import dspy
import plotly.graph_objects as go

from po_optimizer.evaluation.corruptions import (
    CORRUPTIONS,
    Outputs,
    Types,
    output_types,
)
from po_optimizer.evaluation.figures import OPTIMIZED, new_figure
from po_optimizer.evaluation.records import Result
from po_optimizer.measuring import Metric
from po_optimizer.score import Score

# What a metric raises when an output is not as it expects; it should give 0.0.
METRIC_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ValueError)

SHUFFLED = "references of other records"
WHY_NOT = {
    SHUFFLED: "it takes two examples with different outputs",
    "ids removed": "no output contains an id such as FR001 or FR-01",
    "status flipped": "no output field is a Literal, an Enum or a bool",
    "truncated": "no output contains text or lists",
}


class Family(Result):
    """The scores of one kind of output; scores in [0, 1], higher is better.

    Attributes:
        name: What was done to the reference outputs.
        n: Examples that it could be done to; 0: not applicable, `note` says why.
        scores: One an example.
        mean: Of the scores; None if n is 0.
        lowest: Of the scores.
        highest: Of the scores.
        below_reference: Share of the examples that score below their own
            reference, in [0, 1]; higher: the metric notices the damage more often.
        components: Mean of each part.
        n_unusable: Outputs that the metric called unusable.
        n_raised: Outputs on which the metric raised; counted as 0.0. It should
            give 0.0 itself, an optimizer counts what is raised as an error.
    """

    name: str
    n: int
    scores: list[float]
    mean: float | None
    lowest: float | None
    highest: float | None
    below_reference: float | None
    components: dict[str, float]
    n_unusable: int
    n_raised: int
    note: str = ""


class MetricReport(Result):
    """What `metric_report.json` holds: each family's scores on the same examples."""

    metric: str
    n_examples: int
    seed: int
    families: list[Family]

    def rows(self) -> list[dict[str, object]]:
        """The table: a row a family, without the single scores."""
        shown = {"scores", "components"}
        return [
            {**family.model_dump(exclude=shown), **family.components}
            for family in self.families
        ]


def metric_report(
    metric: Metric,
    examples: Sequence[dspy.Example],
    *,
    program: dspy.Module | None = None,
    seed: int = 9,
) -> MetricReport:
    """The metric on reference outputs, empty, shuffled and spoiled ones.

    Args:
        metric: `(example, prediction) -> score`.
        examples: With reference outputs; 20 or more show a distribution.
        program: Tells the output fields and their types; without it all labels
            of an example are outputs.
        seed: Of the shuffling.
    """
    types = output_types(program)
    outputs = [_outputs(example, types) for example in examples]
    families: dict[str, list[Outputs | None]] = {
        "references": list(outputs),
        "empty output": [{} for _ in outputs],
        SHUFFLED: _shuffled(outputs, seed),
    }
    for name, corrupt in CORRUPTIONS.items():
        spoiled = [corrupt(own, types) for own in outputs]
        families[name] = [
            None if new == own else new
            for new, own in zip(spoiled, outputs, strict=True)
        ]
    own_scores = [_score(metric, *pair) for pair in zip(examples, outputs, strict=True)]
    return MetricReport(
        metric=str(getattr(metric, "__name__", metric)),
        n_examples=len(examples),
        seed=seed,
        families=[
            _family(name, metric, examples, variants, own_scores)
            for name, variants in families.items()
        ],
    )


def metric_figure(report: MetricReport) -> go.Figure:
    """Each family's scores: a box, and a point an example."""
    applicable = [family for family in report.families if family.n]
    figure = new_figure(1.6 * len(applicable), legend=False)
    for family in applicable:
        figure.add_box(
            x=family.scores,
            name=f"{escape(family.name)} (n={family.n})",
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            fillcolor="rgba(47,143,208,0.15)",
            line={"color": OPTIMIZED, "width": 1.5},
            marker={"size": 4, "opacity": 0.6},
            hoverinfo="x+name",
        )
    figure.update_xaxes(title_text="score of one example (0 to 1)", range=[-0.03, 1.03])
    figure.update_yaxes(autorange="reversed")
    return figure


def _outputs(example: dspy.Example, types: Types) -> Outputs:
    labels = dict(example.labels().items())
    return {name: labels[name] for name in types if name in labels} or labels


def _shuffled(outputs: Sequence[Outputs], seed: int) -> list[Outputs | None]:
    # A rotation of a random order leaves no example with its own outputs.
    order = list(range(len(outputs)))
    random.Random(seed).shuffle(order)  # noqa: S311 (no secret)
    others: list[Outputs | None] = [None] * len(outputs)
    for place, index in enumerate(order):
        other = outputs[order[(place + 1) % len(order)]]
        others[index] = None if other == outputs[index] else other
    return others


def _score(metric: Metric, example: dspy.Example, outputs: Outputs) -> Score | None:
    try:
        return Score.of(metric(example, dspy.Prediction(**outputs)))
    except METRIC_ERRORS:
        return None


def _family(
    name: str,
    metric: Metric,
    examples: Sequence[dspy.Example],
    variants: Sequence[Outputs | None],
    references: Sequence[Score | None],
) -> Family:
    measured = [
        (_score(metric, example, outputs), reference)
        for example, outputs, reference in zip(
            examples, variants, references, strict=True
        )
        if outputs is not None
    ]
    found = [score if score is not None else Score(0.0) for score, _ in measured]
    lower = [
        float(score) < (reference or 0.0)
        for score, (_, reference) in zip(found, measured, strict=True)
    ]
    parts = sorted({part for score in found for part in score.components})
    return Family(
        name=name,
        n=len(found),
        scores=[float(score) for score in found],
        mean=fmean(found) if found else None,
        lowest=min(found, default=None),
        highest=max(found, default=None),
        below_reference=fmean(lower) if found else None,
        components={
            part: fmean(score.components.get(part, 0.0) for score in found)
            for part in parts
        },
        n_unusable=sum(score.unusable is not None for score in found),
        n_raised=sum(score is None for score, _ in measured),
        note="" if found else f"not applicable: {WHY_NOT.get(name, 'no examples')}",
    )
