"""Whether the metric and the splits can carry an optimization."""

import dspy

from po_optimizer.optimization.checks import Check, check
from po_optimizer.optimization.fingerprint import canonical
from po_optimizer.params import PreflightParams
from po_optimizer.measuring import Metric
from po_optimizer.score import Score

_MOST_REFERENCES = 50
_MOST_EMPTY = 5


def metric_checks(
    metric: Metric, examples: list[dspy.Example], params: PreflightParams
) -> list[Check]:
    """The metric tells a reference output from an empty one."""
    return [
        _references(metric, examples[:_MOST_REFERENCES], params.min_reference_score),
        _empty(metric, examples[:_MOST_EMPTY], params.max_empty_score),
    ]


def _references(metric: Metric, examples: list[dspy.Example], least: float) -> Check:
    pairs = [(e, dspy.Prediction(**dict(e.labels().items()))) for e in examples]
    scores, problem = _scores(metric, pairs)
    mean = sum(scores) / len(pairs)
    return check(
        "metric_on_references",
        "role.metric",
        None if problem else round(mean, 4),
        f"a mean of {least} or more on the reference outputs "
        f"(optimize.preflight.min_reference_score, n={len(examples)})",
        passed=not problem and mean >= least,
        remedy=problem or "The metric cannot read the references.",
    )


def _empty(metric: Metric, examples: list[dspy.Example], most: float) -> Check:
    pairs = [(e, dspy.Prediction()) for e in examples]
    for example in examples:
        blank = dict.fromkeys(example.labels().keys(), "")
        pairs.append((example, dspy.Prediction(**blank)))
    scores, problem = _scores(metric, pairs)
    highest = max(scores, default=None)
    return check(
        "metric_on_empty",
        "role.metric",
        highest,
        f"at most {most} on an empty output (optimize.preflight.max_empty_score)",
        passed=not problem and highest is not None and highest <= most,
        remedy=problem or "Give output that cannot be used a score of 0.0.",
    )


def _scores(
    metric: Metric, pairs: list[tuple[dspy.Example, dspy.Prediction]]
) -> tuple[list[float], str]:
    scores: list[float] = []
    try:
        for example, prediction in pairs:
            scores.append(Score.of(metric(example, prediction)).value)
    except Exception as error:  # noqa: BLE001 -- whatever a metric raises is the finding
        return scores, f"The metric raised {type(error).__name__}: {error}."
    return scores, ""


def split_checks(splits: dict[str, list[dspy.Example]]) -> list[Check]:
    """The trainset and the valset are filled, and no two splits share an example."""
    unmarked = [n for n, split in splits.items() if any(map(_unmarked, split))]
    marked = check(
        "inputs_marked",
        "role.record",
        ", ".join(unmarked),
        "examples whose inputs are marked in every split",
        passed=not unmarked,
        remedy="Call example.with_inputs(...) with the names that the program's "
        "forward takes, in the record's to_example or where the examples are made.",
    )
    if unmarked:
        return [marked]
    sizes = {name: len(examples) for name, examples in splits.items()}
    homes: dict[str, set[str]] = {}
    for name, examples in splits.items():
        for example in examples:
            homes.setdefault(_identity(example), set()).add(name)
    shared = sum(len(names) > 1 for names in homes.values())
    return [
        check(
            "splits_filled",
            "data_prep.sizes",
            dict(sizes),
            "1 or more examples in the trainset and the valset",
            passed=bool(sizes["trainset"] and sizes["valset"]),
            remedy="Give more records, or other sizes.",
        ),
        marked,
        check(
            "splits_disjoint",
            "data_prep",
            shared,
            "0 examples with the same inputs in two splits",
            passed=not shared,
            remedy="Remove the duplicates from the records.",
        ),
    ]


def _unmarked(example: dspy.Example) -> bool:
    try:
        example.inputs()
    except ValueError:
        return True
    return False


def _identity(example: dspy.Example) -> str:
    return canonical(dict(example.inputs().items()))
