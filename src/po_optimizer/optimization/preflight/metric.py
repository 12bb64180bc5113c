"""Whether the metric tells output that can be used from output that cannot."""

from collections.abc import Sequence
from logging import getLogger
from statistics import fmean

import dspy
from dspy.utils.exceptions import LMError

from po_optimizer.lms.check import Check, check
from po_optimizer.lms.lm import LMAsked, no_lm_calls, use_lm
from po_optimizer.lms.stops import StopRun
from po_optimizer.optimization.guarded_metric import empty_scores, shown_inputs
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.preflight.probe import Probe
from po_optimizer.roles.metric import (
    Measure,
    best_form,
    metric_problem,
    output_names,
    output_types,
    references,
)
from po_optimizer.roles.score import Score, ScoreError

logger = getLogger(__name__)
_SETTING = "role.metric"
_MOST_REFERENCES = 50
_MOST_EMPTY = 5

Scored = list[tuple[dspy.Example, Score]]
"""Examples with the score of some output of theirs."""


def check_before_probe(job: Job, target: float | None) -> list[Check]:
    """Checks the metric without an LM; [] if that needs outputs of the program.

    What a program with a `forward` of its own gives is known only after it has run.
    """
    if problem := metric_problem(job.metric):
        value = repr(job.metric)[:80]
        allowed = "a callable that takes (example, prediction, ...)"
        return [_failed("metric_callable", value, allowed, problem)]
    outputs, examples = list(output_types(job.student)), [*job.valset, *job.trainset]
    try:
        with use_lm(job.task_lm, stage="preflight"), no_lm_calls():
            checks = _checks(job, outputs, examples, [], target)
    except LMAsked:
        return []
    judged = all(check.passed and check.value is not None for check in checks)
    gives_its_outputs = type(job.student).__module__.startswith("dspy.")
    return checks if judged or gives_its_outputs else []


def check_on_probe(
    job: Job, probe: Probe, identity: str, target: float | None
) -> list[Check]:
    """Checks the metric with the outputs of the probe.

    A metric that asks an LM is tried on one example only: each score is paid for.
    """
    usable = [
        (example, attempt.score, attempt.prediction)
        for example, attempt in zip(job.valset, probe.attempts, strict=False)
        if attempt.score is not None and attempt.unusable is None
    ]
    if not usable:
        return []
    first, _, answer = usable[0]
    outputs, examples = output_names(answer), [*job.valset, *job.trainset]
    scored = [(example, score) for example, score, _ in usable]
    with use_lm(job.task_lm, stage="preflight", optimization_id=identity):
        try:
            with no_lm_calls():
                return _checks(job, outputs, examples, scored, target)
        except LMAsked:
            pass
        try:
            return _checks(job, outputs, [first], scored, None)
        except (LMError, StopRun) as error:
            allowed = "an answer of the LM that the metric asks"
            return [_failed("metric_lm_answers", None, allowed, str(error))]


def _failed(name: str, value: str | None, allowed: str, problem: str) -> Check:
    return check(name, _SETTING, value, allowed, passed=False, remedy=problem)


def _checks(
    job: Job,
    outputs: Sequence[str],
    examples: list[dspy.Example],
    scored: Scored,
    target: float | None,
) -> list[Check]:
    """Checks the metric on reference outputs and on empty outputs.

    Args:
        job: Its metric is called.
        outputs: The names of what the program gives.
        examples: With references or without.
        scored: Examples with the scores of other outputs than the references.
        target: What the references' rubric is compared with; None: with nothing.
    """
    types = output_types(job.student)
    answers = [references(e, outputs, types) for e in examples]
    pairs = [p for p in zip(examples, answers, strict=True) if p[1]]
    pairs = pairs[:_MOST_REFERENCES]
    unlabeled = [e for e, forms in zip(examples, answers, strict=True) if not forms]
    of_references: Scored = []
    try:
        empty = _empty_scores(job, outputs, examples)
        measure = Measure(job.metric)
        for example, forms in pairs:
            of_references.append((example, best_form(measure, example, forms)[1]))
        for example in unlabeled[:_MOST_REFERENCES] if pairs else ():
            best_form(measure, example, pairs[0][1])  # it must score these, too
    except ScoreError as error:
        problem = f"{error}."
        return [_failed("metric_score", None, "a number for every output", problem)]
    except (LMError, StopRun):
        raise
    except Exception as error:  # noqa: BLE001 -- what it raises is the finding
        problem = (
            f"It raised {type(error).__name__}: {error} for the labels of the example "
            f"{shown_inputs(example)}. Correct the metric or these labels."
        )
        return [_failed("metric_score", None, "a number for every output", problem)]
    scores = [score for _, score in of_references]
    comparable = [*scored, *of_references] if pairs else None
    checks = [
        _on_references(job, outputs, scores),
        _on_empty(job, empty, comparable),
    ]
    if target is not None and all(check.passed for check in checks):
        checks += _check_target(scores, target)
    return checks


def _on_references(job: Job, outputs: Sequence[str], scores: list[Score]) -> Check:
    least, n = job.params.preflight.min_reference_score, len(scores)
    mean = fmean(scores) if scores else None
    named = ", ".join(outputs) or "it gives no named ones"
    return check(
        "metric_on_references",
        _SETTING,
        None if mean is None else round(mean, 4),
        f"a mean of {least} or more on the reference outputs "
        f"(optimize.preflight.min_reference_score, n={n})",
        passed=mean is None or mean >= least,
        remedy="The metric does not take the labels for good answers: correct one of "
        "them, or lower this bound.",
        note=""
        if n
        else "not checked: no example has a field for every output of the program, "
        f"of its type ({named})",
    )


def _empty_scores(
    job: Job, outputs: Sequence[str], examples: list[dspy.Example]
) -> dict[int, float]:
    """The best score of an empty output, by the id of its example."""
    return {
        id(example): max(empty_scores(job.metric, example, outputs), default=0.0)
        for example in examples[:_MOST_EMPTY]
    }


def _on_empty(job: Job, empty: dict[int, float], comparable: Scored | None) -> Check:
    """Whether empty output scores less than other output."""
    name, most = "metric_on_empty", job.params.preflight.max_empty_score
    allowed = (
        f"at most {most} on an empty output (optimize.preflight.max_empty_score), "
        "or less than on others"
    )
    # what sums leave over is no credit
    highest = round(max(empty.values(), default=0.0), 6)
    if highest <= most:
        return check(name, _SETTING, round(highest, 4), allowed)
    tells = comparable is None or any(
        score > empty.get(id(example), highest) for example, score in comparable
    )
    note = (
        f"an empty output scores {highest:.4g}; a program whose outputs "
        "are all empty would not score 0.0"
    )
    if tells:
        logger.warning("preflight: role.metric: %s", note)
    return check(
        name,
        _SETTING,
        round(highest, 4),
        allowed,
        passed=tells,
        remedy="Give output that cannot be used a score of 0.0.",
        note=note,
    )


def _check_target(scores: list[Score], target: float) -> list[Check]:
    """Compares the target with the references' mean rubric; [] if they have none.

    It passes: a program may be better than its data, but it will seldom be.
    """
    rubrics = [score.rubric for score in scores if score.rubric is not None]
    if not rubrics:
        return []
    mean, note = round(fmean(rubrics), 4), ""
    if mean < target:
        note = (
            f"The reference outputs' mean rubric is {mean:.3f} (n={len(rubrics)}), "
            f"below promotion.target_rubric={target:g}: only a program that is better "
            "than the data it learns from can be promoted. Lower the target or correct "
            "the references."
        )
        logger.warning("preflight: %s", note)
    allowed = f"at most about {mean:.3f}, the references' mean rubric"
    name = "target_is_reached_by_references"
    return [check(name, "promotion.target_rubric", target, allowed, note=note)]
