"""Whether a program that learns from the data can be expected to reach the target."""

from logging import getLogger

from po_optimizer.lms.check import Check
from po_optimizer.lms.lm import LMAsked, no_lm_calls
from po_optimizer.optimization.job import Job
from po_optimizer.roles.metric import Measure, reference

logger = getLogger(__name__)

_MOST_REFERENCES = 50


def target_checks(job: Job, target: float) -> list[Check]:
    """What the reference outputs reach of the target; [] where nothing can tell.

    It passes: a program may be better than its data, but it will seldom be.
    """
    try:
        with no_lm_calls():
            rubrics = _rubrics(job)
    except LMAsked:
        return []
    if not rubrics:
        return []
    mean = round(sum(rubrics) / len(rubrics), 4)
    message = ""
    if mean < target:
        message = (
            f"The reference outputs' mean rubric is {mean:.3f} (n={len(rubrics)}), "
            f"below promotion.target_rubric={target:g}: only a program that is better "
            "than the data it learns from can be promoted. Lower the target or mend "
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


def _rubrics(job: Job) -> list[float]:
    outputs = [
        name
        for predictor in job.student.predictors()
        for name in predictor.signature.output_fields
    ]
    measure, rubrics = Measure(job.metric), []
    for example in [*job.valset, *job.trainset][:_MOST_REFERENCES]:
        prediction = reference(example, outputs)
        rubric = measure(example, prediction).rubric if prediction else None
        rubrics += [] if rubric is None else [rubric]
    return rubrics
