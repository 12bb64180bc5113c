"""The preflight: every check, then one report or one error."""

import time
from collections.abc import Iterator, Sequence
from logging import getLogger
from pathlib import Path

import dspy
from pydantic import BaseModel, ConfigDict

from po_optimizer.errors import PreflightError
from po_optimizer.lms import MeteredLM
from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.budget import distinct
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import (
    Optimizer,
    make_optimizer,
    sizes_of,
)
from po_optimizer.optimization.preflight.context import ContextChecks
from po_optimizer.optimization.preflight.data import check_splits
from po_optimizer.optimization.preflight.metric import (
    check_before_probe,
    check_on_probe,
    check_target,
)
from po_optimizer.optimization.preflight.probe import Probe, Prober
from po_optimizer.optimization.preflight.program import (
    check_disk,
    check_packages,
    check_predictors,
    check_survival,
)
from po_optimizer.optimization.quiet import quiet_dspy
from po_optimizer.optimization.run_identity import optimization_id, run_fingerprint
from po_optimizer.params import OptimizeParams
from po_optimizer.roles.metric import RAISED

logger = getLogger(__name__)


class PreflightReport(BaseModel):
    """Every check in the order in which it was made.

    Args:
        optimization_id: Of the optimization that this clears.
        checks: Passed and failed ones.
        seconds: Wall time of the preflight.
        calls_per_run: LM calls of each run of the probe, cached ones included.
        extra_calls: Paid calls over all restarts that were for the checks alone.
    """

    model_config = ConfigDict(frozen=True)

    optimization_id: str
    checks: list[Check]
    seconds: float
    calls_per_run: list[int] = []
    extra_calls: int = 0

    @property
    def passed(self) -> bool:
        """True if every check did."""
        return all(check.passed for check in self.checks)

    def failures(self) -> list[str]:
        """One line per failed check, with its setting, value and remedy."""
        return [_failure(check) for check in self.checks if not check.passed]


def _failure(check: Check) -> str:
    value = "" if check.value is None else f"={check.value!r}"
    sentence = f"{check.setting}{value}: {check.name} needs {check.allowed}."
    return f"{sentence} {check.message}".strip()


def preflight(
    job: Job,
    *,
    testset: Sequence[dspy.Example] = (),
    target_rubric: float | None = None,
    disk_path: Path = Path(),
) -> PreflightReport:
    """The report of an optimization that can start.

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
    probe, identity = Probe(), ""
    with quiet_dspy():
        splits = {"trainset": job.trainset, "valset": job.valset}
        checks = check_splits({**splits, "testset": list(testset)})
        # examples without marked inputs cannot be told apart
        if checks[0].passed:
            checks += _without_lm(job, target_rubric)
            identity = optimization_id(run_fingerprint(job))
        checks.append(check_disk(disk_path, job.params.preflight.min_free_disk_mb))
        for lm in (job.task_lm, job.prompt_lm):
            # an LM that somebody made has the parts of a MeteredLM, not its class;
            # two roles of one server have the same to say
            checks += [c for c in MeteredLM.check_provider(lm) if c not in checks]
        if all(check.passed for check in checks):
            probe = Prober(job.task_lm, identity).run(job)
            checks += _with_lm(job, list(testset), identity, probe)
            if not any(c.name.startswith("metric_on_ref") for c in checks):
                checks += check_on_probe(job, probe, identity)
    report = PreflightReport(
        optimization_id=identity,
        checks=checks,
        seconds=round(time.monotonic() - clock, 2),
        calls_per_run=probe.calls,
        extra_calls=max(0, _paid(job, identity) - sum(probe.calls)),
    )
    if not report.passed:
        raise PreflightError(report.failures(), report)
    return report


def _paid(job: Job, identity: str) -> int:
    """Calls that the preflights of this optimization have paid for."""
    ledgers = distinct([lm.meter.ledger for lm in (job.task_lm, job.prompt_lm)])
    usages = (
        led.totals(stage="preflight", optimization_id=identity) for led in ledgers
    )
    return sum(usage.paid for usage in usages)


def _without_lm(job: Job, target_rubric: float | None) -> list[Check]:
    optimizer = make_optimizer(job.params)
    predictors = check_predictors(job.student)
    if not predictors.passed:
        return [predictors]
    checks = [
        predictors,
        *check_packages(optimizer),
        *optimizer.checks(sizes_of(job)),
        *check_before_probe(job),
        check_survival(job.student, job.trainset),
        _cost_is_known(job, optimizer),
    ]
    graded = any(c.name == "metric_on_references" and c.value for c in checks)
    if graded and target_rubric is not None and all(c.passed for c in checks):
        checks += check_target(job, target_rubric)
    return checks


def _cost_is_known(job: Job, optimizer: Optimizer) -> Check:
    bound = job.params.budget.max_cost_usd
    lms = [job.task_lm, *([job.prompt_lm] if optimizer.proposes else [])]
    unknown = sorted({lm.slug for lm in lms if not lm.knows_cost})
    return check(
        "cost_is_known",
        "optimize.budget.max_cost_usd",
        bound,
        "a known cost of each call, or the bound would never be reached",
        passed=bound is None or not unknown,
        remedy=f"That of {', '.join(unknown)} is unknown: set lm.price (of another LM "
        "for the prompts: prompt_lm.price), or bound max_calls or max_tokens.",
    )


def _with_lm(
    job: Job, testset: list[dspy.Example], identity: str, probe: Probe
) -> Iterator[Check]:
    optimizer, task_lm = make_optimizer(job.params), job.task_lm
    if probe.schema_refused:
        yield _schema_is_refused(task_lm)
        return
    yield _answers("task_lm", task_lm, probe.lost, probe.paid)
    if job.prompt_lm.slug != task_lm.slug and optimizer.proposes:
        lost = Prober(job.prompt_lm, identity).ping()
        yield _answers("prompt_lm", job.prompt_lm, lost)
    if probe.lost is None:
        yield check(
            "metric_on_outputs",
            "role.metric",
            len(probe.attempts),
            "a score in [0, 1] for each output of the probe",
            passed=not (broken := probe.broken or _raised_always(probe)),
            remedy=broken,
        )
        if probe.attempts:
            yield _usable(probe, job.params)
    if probe.varies is not None:
        yield _repeats_itself(task_lm, varies=probe.varies)
    context = ContextChecks(job, [*job.valset, *testset], probe)
    yield from context.make(identity)


def _raised_always(probe: Probe) -> str:
    """What the metric raised at every output that it got; "" if it did not."""
    reasons = [a.unusable or "" for a in probe.attempts if a.score is not None]
    always = bool(reasons) and all(reason.startswith(RAISED) for reason in reasons)
    return reasons[0] if always else ""


def _schema_is_refused(lm: MeteredLM) -> Check:
    return Check(
        name="lm_takes_json_schema",
        setting="lm.structured_output",
        value=lm.params.structured_output,
        allowed="json_object or none for this LM",
        passed=False,
        message=f"{lm.slug} gives no answer to a request with a JSON schema, and one "
        "to the same request for plain JSON: set lm.structured_output=json_object.",
    )


def _answers(which: str, lm: MeteredLM, lost: str | None, paid: int = 1) -> Check:
    return Check(
        name=f"{which}_answers",
        setting="lm.model",
        value=lm.slug,
        allowed="an answer",
        passed=lost is None,
        message=lost or ("" if paid else "answered by the response cache"),
    )


def _repeats_itself(lm: MeteredLM, *, varies: bool) -> Check:
    message = (
        f"{lm.slug} gave two answers to one prompt: a score is one draw of several. "
        "evaluate.repeats=3 asks each example so often and says how much they differ."
    )
    if varies:
        logger.warning("preflight: %s", message)
    return Check(
        name="answers_repeat",
        setting="evaluate.repeats",
        value="another answer" if varies else "the same answer",
        allowed="either, when one prompt is asked twice",
        passed=True,
        message=message * varies,
    )


def _usable(probe: Probe, params: OptimizeParams) -> Check:
    unusable = [a for a in probe.attempts if a.unusable is not None]
    usable = len(probe.attempts) - len(unusable)
    why = f"{unusable[0].unusable}. It reads: {unusable[0].raw!r}" if unusable else ""
    return check(
        "outputs_usable",
        "role.program",
        f"{usable} of {len(probe.attempts)}",
        "at least one output of the probe that the metric can use "
        "(optimize.floor_stop=false goes on regardless)",
        passed=usable > 0 or not params.floor_stop,
        remedy=why,
    )
