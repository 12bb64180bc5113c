"""Which outputs a metric can tell apart, measured before it is trusted."""

import random
from collections.abc import Sequence
from contextlib import suppress
from statistics import fmean

import dspy
from pydantic import Field

from po_optimizer.evaluation.corruptions import (
    CORRUPTIONS,
    HONEST,
    Outputs,
    Types,
    adversaries,
)
from po_optimizer.params.base import Result
from po_optimizer.roles.metric import (
    Measure,
    Metric,
    best_form,
    call_metric,
    output_types,
    references,
)
from po_optimizer.roles.score import Score

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
        scores: One an example that got one.
        mean: Of the scores; None if there are none.
        lowest: Of the scores.
        highest: Of the scores.
        below_reference: Share of the examples that score below their own
            reference or get no score, in [0, 1]; higher: the metric notices the damage
            more often.
        components: Mean of each part.
        n_unusable: Outputs that the metric called unusable.
        n_raised: Outputs that got no score, as a rule because the metric raised:
            `note` says why. On an empty output that is as good as 0.0.
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
    """What `metric_report.json` holds: each family's scores on the same examples.

    Attributes:
        metric: Its name.
        n_examples: Examples that the families are made of.
        seed: Of what is drawn at random.
        families: In the order of the table.
        gamed_by: The adversaries whose mean is above that of half of the reference.
    """

    metric: str
    n_examples: int
    seed: int
    families: list[Family]
    gamed_by: list[str] = Field(default_factory=list)

    def rows(self) -> list[dict[str, object]]:
        """The table: a row a family, without the single scores."""
        other_columns = {"scores", "components"}
        return [
            {**family.model_dump(exclude=other_columns), **family.components}
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
    outputs = [_outputs(metric, example, types) for example in examples]
    played = adversaries(examples, outputs, types, seed) if examples else {}
    altered = {
        SHUFFLED: _shuffled(outputs, seed),
        **{
            name: [corrupt(own, types) for own in outputs]
            for name, corrupt in CORRUPTIONS.items()
        },
        **played,
    }
    families: dict[str, list[Outputs | None]] = {
        "references": list(outputs),
        "empty output": [{} for _ in outputs],
    }
    for name, answers in altered.items():
        pairs = zip(answers, outputs, strict=True)
        families[name] = [None if new == own else new for new, own in pairs]
    references = [_score(metric, *pair) for pair in zip(examples, outputs, strict=True)]
    measured = [
        _family(name, metric, examples, variants, references)
        for name, variants in families.items()
    ]
    return MetricReport(
        metric=str(getattr(metric, "__name__", metric)),
        n_examples=len(examples),
        seed=seed,
        families=measured,
        gamed_by=_above_honest([f for f in measured if f.name in played]),
    )


def _above_honest(played: Sequence[Family]) -> list[str]:
    means = {family.name: family.mean for family in played}
    honest = means.pop(HONEST, None)
    if honest is None:  # no output has a list to halve
        return []
    return [name for name, mean in means.items() if mean is not None and mean > honest]


def _outputs(metric: Metric, example: dspy.Example, types: Types) -> Outputs:
    """The example's labels in the form that the metric scores best."""
    labels = dict(example.labels().items())
    names = [name for name in types if name in labels] or list(labels)
    forms = references(example, names, types)
    if len(forms) > 1:
        with suppress(Exception):  # the table shows what the metric raises
            form, _ = best_form(Measure(metric), example, forms)
            return dict(form.toDict())
    return {name: labels[name] for name in names}


def _shuffled(outputs: Sequence[Outputs], seed: int) -> list[Outputs]:
    # A rotation of a random order leaves no example with its own outputs.
    order = list(range(len(outputs)))
    random.Random(seed).shuffle(order)  # noqa: S311 (no secret)
    following = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return [outputs[following[index]] for index in range(len(outputs))]


def _score(metric: Metric, example: dspy.Example, outputs: Outputs) -> Score | str:
    """The score, or why there is none."""
    try:
        return Score.of(call_metric(metric, example, dspy.Prediction(dict(outputs))))
    except Exception as error:  # noqa: BLE001 -- whatever a metric raises is shown
        return f"{type(error).__name__}: {error}"


def _family(
    name: str,
    metric: Metric,
    examples: Sequence[dspy.Example],
    variants: Sequence[Outputs | None],
    references: Sequence[Score | str],
) -> Family:
    measured = [
        (_score(metric, example, outputs), reference)
        for example, outputs, reference in zip(
            examples, variants, references, strict=True
        )
        if outputs is not None
    ]
    scores = [score for score, _ in measured if isinstance(score, Score)]
    reasons = [reason for reason, _ in measured if isinstance(reason, str)]
    lower = [
        isinstance(score, str) or score < reference
        for score, reference in measured
        if isinstance(reference, Score)
    ]
    parts = sorted({part for score in scores for part in score.components})
    return Family(
        name=name,
        n=len(measured),
        scores=[float(score) for score in scores],
        mean=fmean(scores) if scores else None,
        lowest=min(scores, default=None),
        highest=max(scores, default=None),
        below_reference=fmean(lower) if lower else None,
        components={
            part: fmean(score.components.get(part, 0.0) for score in scores)
            for part in parts
        },
        n_unusable=sum(score.unusable is not None for score in scores),
        n_raised=len(reasons),
        note=_note(name, len(measured), reasons),
    )


def _note(name: str, n: int, reasons: list[str]) -> str:
    if not n:
        return f"not applicable: {WHY_NOT.get(name, 'it changes none of the outputs')}"
    if not reasons:
        return ""
    return f"no score for {len(reasons)} of {n}: {reasons[0]}"
