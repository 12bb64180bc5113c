"""The preflight: every check, then one report or one error."""

import time
from collections.abc import Iterator, Sequence
from logging import getLogger
from pathlib import Path

import dspy
from pydantic import Field

from po_optimizer.errors import PreflightError
from po_optimizer.lms.check import Check, check
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.preflight.context import check_context
from po_optimizer.optimization.preflight.metric import (
    check_before_probe,
    check_on_probe,
)
from po_optimizer.optimization.preflight.offline import (
    check_asks,
    check_cost,
    check_disk,
    check_packages,
    check_predictors,
    check_splits,
    check_storage,
)
from po_optimizer.optimization.preflight.probe import Probe, Prober
from po_optimizer.optimization.quiet import quiet_dspy
from po_optimizer.optimization.run_identity import optimization_id, run_fingerprint
from po_optimizer.params.base import Frozen
from po_optimizer.roles.metric import RAISED

logger = getLogger(__name__)


class PreflightReport(Frozen):
    """Every check in the order in which it was made.

    Args:
        optimization_id: Of the optimization that this clears.
        checks: Passed and failed ones.
        seconds: Wall time of the preflight.
        calls_per_run: LM calls of each run of the probe, cached ones included.
        own_seconds: Of the probe's shortest run, beside its LM calls.
        extra_calls: Paid calls over all restarts that were for the checks alone.
    """

    optimization_id: str
    checks: list[Check]
    seconds: float
    calls_per_run: list[int] = Field(default_factory=list)
    own_seconds: float = 0.0
    extra_calls: int = 0

    @property
    def passed(self) -> bool:
        """True if every check did."""
        return all(check.passed for check in self.checks)


def preflight(
    job: Job,
    *,
    testset: Sequence[dspy.Example] = (),
    target_rubric: float | None = None,
    disk_path: Path = Path(),
) -> PreflightReport:
    """Checks that an optimization can succeed, and reports every check.

    What costs nothing is checked first; the LMs are asked only if all of it passed.
    The probe's answers are the first of the baseline's evaluation.

    Args:
        job: The optimization that is to start.
        testset: Checked to be disjoint from the others, else untouched.
        target_rubric: Compared with what the reference outputs reach; None: not.
        disk_path: Where answers and programs will be written.

    Raises:
        PreflightError: A check failed; its `report` holds all of them.
    """
    clock = time.monotonic()
    probe, identity, extra = Probe(), "", 0
    with quiet_dspy():
        checks = list(_without_lm(job, testset, target_rubric, disk_path))
        if all(check.passed for check in checks):
            identity = optimization_id(run_fingerprint(job))
            prober = Prober(job, job.task_lm, identity)
            probe = prober.run()
            checks += _with_lm(job, testset, prober, probe)
            if not any(c.name.startswith("metric_on_ref") for c in checks):
                checks += check_on_probe(job, probe, identity, target_rubric)
            paid = prober.budget.spent(stage="preflight").paid
            extra = max(0, paid - sum(probe.calls))
    report = PreflightReport(
        optimization_id=identity,
        checks=checks,
        seconds=round(time.monotonic() - clock, 2),
        calls_per_run=probe.calls,
        own_seconds=round(min(probe.own_seconds, default=0.0), 3),
        extra_calls=extra,
    )
    if not report.passed:
        failures = [check.describe() for check in checks if not check.passed]
        raise PreflightError(failures, report)
    return report


def _without_lm(
    job: Job,
    testset: Sequence[dspy.Example],
    target_rubric: float | None,
    disk_path: Path,
) -> Iterator[Check]:
    splits = {"trainset": job.trainset, "valset": job.valset, "testset": list(testset)}
    of_splits = check_splits(splits)
    yield from of_splits
    if of_splits[0].name == "splits_filled":
        yield from _of_program(job, target_rubric)
    yield check_disk(disk_path, job.params.preflight.min_free_disk_mb)
    # an LM that somebody made has the parts of a MeteredLM, not its class; two roles
    # of one server have the same to say
    of_lms = [c for lm in job.lms for c in MeteredLM.check_provider(lm)]
    yield from {c.model_dump_json(): c for c in of_lms}.values()


def _of_program(job: Job, target_rubric: float | None) -> Iterator[Check]:
    optimizer = make_optimizer(job.params)
    predictors = check_predictors(job.student)
    yield predictors
    if predictors.passed:
        yield from check_packages(optimizer)
        yield from optimizer.checks(optimizer.sizes(job))
        yield from check_before_probe(job, target_rubric)
        yield check_storage(job.student, job.trainset)
        yield check_cost(job, optimizer)


def _with_lm(
    job: Job, testset: Sequence[dspy.Example], prober: Prober, probe: Probe
) -> Iterator[Check]:
    if probe.schema_refused:
        slug = job.task_lm.slug
        yield check(
            "lm_takes_json_schema",
            "lm.structured_output",
            job.task_lm.params.structured_output,
            "json_object or none for this LM",
            passed=False,
            remedy=f"{slug} gives no answer to a request with a JSON schema, and one "
            "to the same request for plain JSON: set lm.structured_output=json_object.",
        )
        return
    yield _answers("task_lm", job.task_lm, probe.lost, probe.paid)
    prompt_lm, proposes = job.prompt_lm, make_optimizer(job.params).proposes
    if prompt_lm.slug != job.task_lm.slug and proposes:
        lost = Prober(job, prompt_lm, prober.budget.optimization_id).ping()
        yield _answers("prompt_lm", prompt_lm, lost)
    if probe.lost is None:
        yield from _on_outputs(probe, floor_stop=job.params.floor_stop)
        yield check_asks(job.student, job.trainset, asks_own=probe.asks_own)
    if probe.varies is not None:
        yield _repeats(job.task_lm, varies=probe.varies)
    yield from check_context(job, testset, probe, prober)


def _answers(which: str, lm: MeteredLM, lost: str | None, paid: int = 1) -> Check:
    return check(
        f"{which}_answers",
        "lm.model",
        lm.slug,
        "an answer",
        passed=lost is None,
        remedy=lost or "",
        note="" if paid else "answered by the response cache",
    )


def _on_outputs(probe: Probe, *, floor_stop: bool) -> Iterator[Check]:
    """Checks that the metric scored every output of the probe and could use one."""
    reasons = [a.unusable or "" for a in probe.attempts if a.score is not None]
    raised_always = all(reason.startswith(RAISED) for reason in reasons)
    broken = probe.broken or (reasons[0] if reasons and raised_always else "")
    n = len(probe.attempts)
    yield check(
        "metric_on_outputs",
        "role.metric",
        n,
        "a score in [0, 1] for each output of the probe",
        passed=not broken,
        remedy=broken,
    )
    if not n:
        return
    unusable = [a for a in probe.attempts if a.unusable is not None]
    first = unusable[0] if unusable else None
    yield check(
        "outputs_usable",
        "role.program",
        f"{n - len(unusable)} of {n}",
        "at least one output of the probe that the metric can use "
        "(optimize.floor_stop=false goes on regardless)",
        passed=len(unusable) < n or not floor_stop,
        remedy=f"{first.unusable}. It reads: {first.raw!r}" if first else "",
    )


def _repeats(lm: MeteredLM, *, varies: bool) -> Check:
    note = (
        f"{lm.slug} gave two answers to one prompt: a score is one draw of several. "
        "evaluate.repeats=3 asks each example so often and says how much they differ."
    )
    if varies:
        logger.warning("preflight: %s", note)
    return check(
        "answers_repeat",
        "evaluate.repeats",
        "another answer" if varies else "the same answer",
        "either, when one prompt is asked twice",
        note=note * varies,
    )
