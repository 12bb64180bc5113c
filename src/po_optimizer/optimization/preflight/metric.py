"""Whether the metric tells output that can be used from output that cannot."""

from collections.abc import Sequence
from logging import getLogger

import dspy
from dspy.utils.exceptions import LMError

from po_optimizer.lms import StopRun, use_lm
from po_optimizer.lms.check import Check, check
from po_optimizer.lms.lm import LMAsked, no_lm_calls
from po_optimizer.optimization.guarded_metric import empty_scores
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.preflight.probe import Probe
from po_optimizer.roles.metric import (
    Measure,
    metric_problem,
    output_names,
    reference,
)

logger = getLogger(__name__)
_MOST_REFERENCES = 50
_MOST_EMPTY = 5

Scored = list[tuple[dspy.Example, float]]
"""Examples with what some output of theirs scored."""


def check_before_probe(job: Job) -> list[Check]:
    """What can be said of the metric without an LM; [] if that takes real outputs.

    What a program with a `forward` of its own gives is known after it has run.
    """
    problem = metric_problem(job.metric)
    if problem:
        allowed = "a callable that takes (example, prediction, ...)"
        return [_failed("metric_callable", repr(job.metric)[:80], allowed, problem)]
    try:
        with use_lm(job.task_lm, stage="preflight"), no_lm_calls():
            checks = _check_scores(job, _declared_outputs(job), _examples(job), [])
    except LMAsked:
        return []
    judged = all(check.passed and check.value is not None for check in checks)
    gives_its_outputs = type(job.student).__module__.startswith("dspy.")
    return checks if judged or gives_its_outputs else []


def check_on_probe(job: Job, probe: Probe, identity: str) -> list[Check]:
    """The same by what the probe's runs gave.

    A metric that asks an LM is tried on one example only: each score is paid for.
    """
    pairs = zip(job.valset, probe.attempts, strict=False)
    usable = [(e, a) for e, a in pairs if a.score is not None and a.unusable is None]
    if not usable:
        return []
    outputs = output_names(usable[0][1].prediction)
    scored = [(example, float(attempt.score or 0.0)) for example, attempt in usable]
    with use_lm(job.task_lm, stage="preflight", optimization_id=identity):
        try:
            with no_lm_calls():
                return _check_scores(job, outputs, _examples(job), scored)
        except LMAsked:
            pass
        try:
            return _check_scores(job, outputs, [usable[0][0]], scored)
        except (LMError, StopRun) as error:
            allowed = "an answer of the LM that the metric asks"
            return [_failed("metric_lm_answers", None, allowed, str(error))]


def _declared_outputs(job: Job) -> list[str]:
    return [
        name
        for predictor in job.student.predictors()
        for name in predictor.signature.output_fields
    ]


def _examples(job: Job) -> list[dspy.Example]:
    return [*job.valset, *job.trainset]


def _failed(name: str, value: str | None, allowed: str, problem: str) -> Check:
    return check(name, "role.metric", value, allowed, passed=False, remedy=problem)


def _passed(name: str, value: float | None, allowed: str, message: str = "") -> Check:
    return Check(
        name=name,
        setting="role.metric",
        value=value,
        allowed=allowed,
        passed=True,
        message=message,
    )


def _check_scores(
    job: Job, outputs: Sequence[str], examples: list[dspy.Example], scored: Scored
) -> list[Check]:
    """On references first: what they score, empty output is compared with.

    Args:
        job: Its metric is called.
        outputs: The names of what the program gives.
        examples: With references or without.
        scored: Examples with the scores of other outputs than the references.
    """
    pairs = [(example, reference(example, outputs)) for example in examples]
    pairs = [pair for pair in pairs if pair[1] is not None][:_MOST_REFERENCES]
    least = job.params.preflight.min_reference_score
    name, allowed = (
        "metric_on_references",
        f"a mean of {least} or more on the reference outputs "
        f"(optimize.preflight.min_reference_score, n={len(pairs)})",
    )
    if not pairs:
        message = (
            "not checked: no example has a field for every output of the program "
            f"({', '.join(outputs) or 'it gives no named ones'})"
        )
        references = _passed(name, None, allowed, message)
        return [references, _check_empty(job, outputs, examples, None)]
    try:
        measure = Measure(job.metric)
        scores = [measure(example, prediction).value for example, prediction in pairs]
    except (LMError, StopRun):
        raise
    except Exception as error:  # noqa: BLE001 -- what it raises is the finding
        problem = f"The metric raised {type(error).__name__}: {error}."
        references, scores = _failed(name, None, allowed, problem), []
    else:
        mean = sum(scores) / len(scores)
        references = check(
            name,
            "role.metric",
            round(mean, 4),
            allowed,
            passed=mean >= least,
            remedy="The metric cannot read the references.",
        )
    of_references = [(e, s) for (e, _), s in zip(pairs, scores, strict=False)]
    return [references, _check_empty(job, outputs, examples, scored + of_references)]


def _check_empty(
    job: Job,
    outputs: Sequence[str],
    examples: list[dspy.Example],
    scored: Scored | None,
) -> Check:
    """Whether empty output scores less than other output; None: nothing to compare."""
    name, most = "metric_on_empty", job.params.preflight.max_empty_score
    allowed = (
        f"at most {most} on an empty output (optimize.preflight.max_empty_score), "
        "or less than on others"
    )
    try:
        empty = {
            id(example): max(empty_scores(job.metric, example, outputs), default=0.0)
            for example in examples[:_MOST_EMPTY]
        }
    except (TypeError, ValueError) as error:
        return _failed(name, None, allowed, f"Of an empty output: {error}.")
    highest = max(empty.values(), default=0.0)
    highest = round(highest, 6)  # what sums leave over is no credit
    if highest <= most:
        return _passed(name, round(highest, 4), allowed)
    if scored is not None and not any(
        score > empty.get(id(example), highest) for example, score in scored
    ):
        remedy = "Give output that cannot be used a score of 0.0."
        return check(name, "role.metric", highest, allowed, passed=False, remedy=remedy)
    message = (
        f"warning: an empty output scores {highest:.4g}; a program whose outputs "
        "are all empty would not score 0.0"
    )
    logger.warning("preflight: role.metric: %s", message)
    return _passed(name, round(highest, 4), allowed, message)


def check_target(job: Job, target: float) -> list[Check]:
    """What the reference outputs reach of the target; [] where nothing can tell.

    It passes: a program may be better than its data, but it will seldom be.
    """
    outputs, measure = _declared_outputs(job), Measure(job.metric)
    predictions = [(e, reference(e, outputs)) for e in _examples(job)]
    try:
        with no_lm_calls():
            scores = [measure(e, p) for e, p in predictions[:_MOST_REFERENCES] if p]
    except LMAsked:
        return []
    rubrics = [score.rubric for score in scores if score.rubric is not None]
    if not rubrics:
        return []
    mean = round(sum(rubrics) / len(rubrics), 4)
    message = ""
    if mean < target:
        message = (
            f"The reference outputs' mean rubric is {mean:.3f} (n={len(rubrics)}), "
            f"below promotion.target_rubric={target:g}: only a program that is better "
            "than the data it learns from can be promoted. Lower the target or correct "
            "the references."
        )
        logger.warning("preflight: %s", message)
    return [
        Check(
            name="target_is_reached_by_references",
            setting="promotion.target_rubric",
            value=target,
            allowed=f"at most about {mean:.3f}, the references' mean rubric",
            passed=True,
            message=message,
        )
    ]
