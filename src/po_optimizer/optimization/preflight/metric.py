"""Whether the metric tells output that can be used from output that cannot."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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

_log = getLogger(__name__)
_MOST_REFERENCES = 50
_MOST_EMPTY = 5


def checks_before_probe(job: Job) -> list[Check]:
    """What can be said of the metric without an LM; [] if that takes real outputs.

    What a program with a `forward` of its own gives is known after it has run.
    """
    problem = metric_problem(job.metric)
    if problem:
        allowed = "a callable that takes (example, prediction, ...)"
        return [_check("metric_callable", repr(job.metric)[:80], allowed, problem)]
    outputs = [
        name
        for predictor in job.student.predictors()
        for name in predictor.signature.output_fields
    ]
    examples = [*job.valset, *job.trainset]
    try:
        with use_lm(job.task_lm, stage="preflight"), no_lm_calls():
            checks = _Trial(job, outputs, examples).checks()
    except LMAsked:
        return []
    judged = all(each.passed and each.value is not None for each in checks)
    gives_its_outputs = type(job.student).__module__.startswith("dspy.")
    return checks if judged or gives_its_outputs else []


def checks_after_probe(job: Job, probe: Probe, identity: str) -> list[Check]:
    """The same by what the probe's runs gave.

    A metric that asks an LM is tried on one example only: each score is paid for.
    """
    pairs = zip(job.valset, probe.attempts, strict=False)
    scored = [(e, a) for e, a in pairs if a.score is not None and a.unusable is None]
    if not scored:
        return []
    outputs = output_names(scored[0][1].prediction)
    seen = [(example, float(attempt.score or 0.0)) for example, attempt in scored]
    examples = [*job.valset, *job.trainset]
    with use_lm(job.task_lm, stage="preflight", optimization_id=identity):
        try:
            with no_lm_calls():
                return _Trial(job, outputs, examples, seen).checks()
        except LMAsked:
            return _asking_an_lm(_Trial(job, outputs, [scored[0][0]], seen))


def _asking_an_lm(trial: "_Trial") -> list[Check]:
    try:
        return trial.checks()
    except (LMError, StopRun) as error:
        allowed = "an answer of the LM that the metric asks"
        return [_check("metric_lm_answers", None, allowed, str(error))]


def _check(name: str, value: str | None, allowed: str, problem: str) -> Check:
    return check(name, "role.metric", value, allowed, passed=False, remedy=problem)


@dataclass
class _Trial:
    """The metric on references and on empty outputs.

    Args:
        outputs: The names of what the program gives.
        seen: Examples with the scores of other outputs than the references.
    """

    job: Job
    outputs: Sequence[str]
    examples: list[dspy.Example]
    seen: list[tuple[dspy.Example, float]] = field(default_factory=list)

    def checks(self) -> list[Check]:
        """On references first: what they score, empty output is compared with."""
        return [self._references(), self._empty()]

    def _references(self) -> Check:
        name, least = "metric_on_references", self._least
        pairs = [(e, reference(e, self.outputs)) for e in self.examples]
        pairs = [pair for pair in pairs if pair[1] is not None][:_MOST_REFERENCES]
        allowed = (
            f"a mean of {least} or more on the reference outputs "
            f"(optimize.preflight.min_reference_score, n={len(pairs)})"
        )
        if not pairs:
            message = (
                "not checked: no example has a field for every output of the program "
                f"({', '.join(self.outputs) or 'it gives no named ones'})"
            )
            return _passed(name, None, allowed, message)
        measure, scores = Measure(self.job.metric), []
        try:
            for example, prediction in pairs:
                scores.append(measure(example, prediction).value)
        except (LMError, StopRun):
            raise
        except Exception as error:  # noqa: BLE001 -- what it raises is the finding
            problem = f"The metric raised {type(error).__name__}: {error}."
            return _check(name, None, allowed, problem)
        self.seen += [(e, s) for (e, _), s in zip(pairs, scores, strict=True)]
        mean = sum(scores) / len(scores)
        return check(
            name,
            "role.metric",
            round(mean, 4),
            allowed,
            passed=mean >= least,
            remedy="The metric cannot read the references.",
        )

    @property
    def _least(self) -> float:
        return self.job.params.preflight.min_reference_score

    def _empty(self) -> Check:
        name, most = "metric_on_empty", self.job.params.preflight.max_empty_score
        allowed = (
            f"at most {most} on an empty output (optimize.preflight.max_empty_score), "
            "or less than on others"
        )
        examples = self.examples[:_MOST_EMPTY]
        metric, outputs = self.job.metric, self.outputs
        try:
            empty = [empty_scores(metric, e, outputs) for e in examples]
        except (TypeError, ValueError) as error:
            return _check(name, None, allowed, f"Of an empty output: {error}.")
        highest = max((score for scores in empty for score in scores), default=0.0)
        highest = round(highest, 6)  # what sums leave over is no credit
        if highest <= most:
            return _passed(name, round(highest, 4), allowed)
        floors = {
            id(e): max(s, default=0.0) for e, s in zip(examples, empty, strict=True)
        }
        above = any(score > floors.get(id(e), highest) for e, score in self.seen)
        if self._has_references and not above:
            remedy = "Give output that cannot be used a score of 0.0."
            return check(
                name, "role.metric", highest, allowed, passed=False, remedy=remedy
            )
        message = (
            f"warning: an empty output scores {highest:.4g}; a program whose outputs "
            "are all empty would not score 0.0"
        )
        _log.warning("preflight: role.metric: %s", message)
        return _passed(name, round(highest, 4), allowed, message)

    @property
    def _has_references(self) -> bool:
        return any(reference(e, self.outputs) is not None for e in self.examples)


def _passed(name: str, value: float | None, allowed: str, message: str = "") -> Check:
    return Check(
        name=name,
        setting="role.metric",
        value=value,
        allowed=allowed,
        passed=True,
        message=message,
    )


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
        _log.warning("preflight: %s", message)
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
