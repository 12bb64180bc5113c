"""Whether the metric and the splits can carry an optimization."""

import json
from collections.abc import Iterable

import dspy

from po_optimizer.optimization.checks import Check
from po_optimizer.params import PreflightParams
from po_optimizer.roles import Metric
from po_optimizer.score import Score

_MOST_REFERENCES = 50
_MOST_EMPTY = 5

Splits = dict[str, list[dspy.Example]]


def metric_checks(
    metric: Metric, examples: list[dspy.Example], params: PreflightParams
) -> list[Check]:
    """The metric tells a reference output from an empty one."""
    return [
        _references(metric, examples[:_MOST_REFERENCES], params.min_reference_score),
        _empty(metric, examples[:_MOST_EMPTY], params.max_empty_score),
    ]


def _references(metric: Metric, examples: list[dspy.Example], least: float) -> Check:
    pairs = [(e, dspy.Prediction(**e.labels().toDict())) for e in examples]
    scores, problem = _scores(metric, pairs)
    mean = sum(scores) / len(scores) if scores else None
    passed = not problem and mean is not None and mean >= least
    return Check(
        name="metric_on_references",
        setting="role.metric",
        value=None if mean is None else round(mean, 4),
        allowed=f"a mean of {least} or more on the reference outputs "
        f"(optimize.preflight.min_reference_score, n={len(examples)})",
        passed=passed,
        message=problem or ("" if passed else "The metric cannot read the references."),
    )


def _empty(metric: Metric, examples: list[dspy.Example], most: float) -> Check:
    blank = [
        (e, dspy.Prediction(**dict.fromkeys(e.labels().keys(), ""))) for e in examples
    ]
    nothing = [(e, dspy.Prediction()) for e in examples]
    scores, problem = _scores(metric, [*blank, *nothing])
    highest = max(scores, default=None)
    passed = not problem and highest is not None and highest <= most
    return Check(
        name="metric_on_empty",
        setting="role.metric",
        value=highest,
        allowed=f"at most {most} on an empty output "
        "(optimize.preflight.max_empty_score)",
        passed=passed,
        message=problem
        or ("" if passed else "Give output that cannot be used a score of 0.0."),
    )


def _scores(
    metric: Metric, pairs: Iterable[tuple[dspy.Example, dspy.Prediction]]
) -> tuple[list[float], str]:
    scores: list[float] = []
    try:
        for example, prediction in pairs:
            scores.append(Score.of(metric(example, prediction)).value)
    except Exception as error:  # noqa: BLE001 -- whatever a metric raises is the finding
        return scores, f"The metric raised {type(error).__name__}: {error}."
    return scores, ""


def split_checks(splits: Splits) -> list[Check]:
    """No split is empty and no two share an example."""
    return [_sizes(splits), _disjoint(splits)]


def _sizes(splits: Splits) -> Check:
    sizes = {name: len(examples) for name, examples in splits.items()}
    needed = {name: n for name, n in sizes.items() if name != "testset"}
    passed = all(needed.values())
    return Check(
        name="splits_filled",
        setting="data_prep.sizes",
        value=dict(sizes),
        allowed="1 or more examples in the trainset and the valset",
        passed=passed,
        message="" if passed else "Give more records, or other sizes.",
    )


def _disjoint(splits: Splits) -> Check:
    homes: dict[str, set[str]] = {}
    for name, examples in splits.items():
        for example in examples:
            homes.setdefault(_identity(example), set()).add(name)
    shared = sum(len(names) > 1 for names in homes.values())
    return Check(
        name="splits_disjoint",
        setting="data_prep",
        value=shared,
        allowed="0 examples with the same inputs in two splits",
        passed=not shared,
        message="" if not shared else "Remove the duplicates from the records.",
    )


def _identity(example: dspy.Example) -> str:
    return json.dumps(dict(example.inputs().items()), sort_keys=True, default=repr)
