"""The preflight: every check, then one report or one error."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dspy

from po_optimizer.errors import PreflightError
from po_optimizer.lms import MeteredLM
from po_optimizer.optimization.checks import Check
from po_optimizer.optimization.fingerprint import optimization_id, run_fingerprint
from po_optimizer.optimization.optimizers import Optimizer, Sizes, make_optimizer
from po_optimizer.optimization.preflight.context import Material, context_checks
from po_optimizer.optimization.preflight.data import metric_checks, split_checks
from po_optimizer.optimization.preflight.probe import Probe, ping, probe
from po_optimizer.optimization.preflight.program import (
    disk_check,
    package_checks,
    survival_check,
)
from po_optimizer.optimization.preflight.report import PreflightReport
from po_optimizer.optimization.quiet import quiet_dspy
from po_optimizer.params import OptimizeParams
from po_optimizer.roles import Metric

LMCheck = Callable[[MeteredLM], list[Check]]
"""A check that only some providers need, e.g. whether Ollama has pulled the model."""


def preflight(
    student: dspy.Module,
    trainset: list[dspy.Example],
    valset: list[dspy.Example],
    metric: Metric,
    *,
    task_lm: MeteredLM,
    prompt_lm: MeteredLM,
    params: OptimizeParams,
    testset: Sequence[dspy.Example] = (),
    disk_path: Path = Path(),
    lm_checks: Sequence[LMCheck] = (),
) -> PreflightReport:
    """The report of an optimization that can start.

    What costs nothing is checked first; the LMs are asked only if all of it passed.
    The probe's answers are the first of the baseline's evaluation.

    Args:
        student: The baseline program.
        trainset: Demos come from it.
        valset: Candidates are chosen on it.
        metric: (example, prediction, trace) -> score in [0, 1].
        task_lm: Runs the program.
        prompt_lm: Writes instructions.
        params: The optimizer, its arguments, and what the preflight asks.
        testset: Checked to be disjoint from the others, else untouched.
        disk_path: Where answers and programs will be written.
        lm_checks: More checks per LM, made before it is asked.

    Raises:
        PreflightError: A check failed; its `report` holds all of them.
    """
    clock = time.monotonic()
    identity = optimization_id(
        run_fingerprint(
            student=student,
            trainset=trainset,
            valset=valset,
            metric=metric,
            task_lm=task_lm,
            prompt_lm=prompt_lm,
            params=params,
        )
    )
    splits = {"trainset": trainset, "valset": valset, "testset": list(testset)}
    checks = split_checks(splits)
    optimizer = make_optimizer(params)
    with quiet_dspy():
        if checks[0].passed:
            material = Material(student, trainset, [*valset, *testset])
            checks += _offline(material, valset, optimizer, metric, params)
            checks.append(disk_check(disk_path, params.preflight.min_free_disk_mb))
        for check_lm in lm_checks:
            checks += check_lm(task_lm)
            checks += check_lm(prompt_lm) if prompt_lm is not task_lm else []
        if all(check.passed for check in checks):
            found = probe(student, valset, metric, task_lm, identity)
            checks += _answers(
                found,
                task_lm,
                prompt_lm,
                optimizer=optimizer,
                params=params,
                identity=identity,
            )
            checks += context_checks(
                material,
                optimizer,
                task_lm,
                prompt_lm,
                found,
                optimization_id=identity,
            )
    report = PreflightReport(
        optimization_id=identity,
        checks=checks,
        seconds=round(time.monotonic() - clock, 2),
    )
    if not report.passed:
        raise PreflightError(report.failures(), report)
    return report


def _offline(
    material: Material,
    valset: list[dspy.Example],
    optimizer: Optimizer,
    metric: Metric,
    params: OptimizeParams,
) -> list[Check]:
    val = len(optimizer.choose_valset(valset))
    predictors = len(material.student.predictors())
    sizes = Sizes(predictors, len(material.trainset), val)
    examples = [*valset, *material.trainset]
    return [
        *package_checks(optimizer),
        *optimizer.checks(sizes),
        *metric_checks(metric, examples, params.preflight),
        survival_check(material.student, material.trainset),
    ]


def _answers(
    found: Probe,
    task_lm: MeteredLM,
    prompt_lm: MeteredLM,
    *,
    optimizer: Optimizer,
    params: OptimizeParams,
    identity: str,
) -> list[Check]:
    checks = [_answer("task_lm_answers", task_lm, found.lost, found.paid)]
    if prompt_lm.slug != task_lm.slug and optimizer.proposes:
        lost = ping(prompt_lm, identity)
        checks.append(_answer("prompt_lm_answers", prompt_lm, lost, 1))
    if found.lost is None:
        checks.append(_usable(found, params))
    return checks


def _answer(name: str, lm: MeteredLM, lost: str | None, paid: int) -> Check:
    cached = "answered by the response cache" if not paid else ""
    return Check(
        name=name,
        setting="lm.model",
        value=lm.slug,
        allowed="an answer",
        passed=lost is None,
        message=lost or cached,
    )


def _usable(found: Probe, params: OptimizeParams) -> Check:
    usable = found.n - len(found.unusable)
    passed = usable > 0 or not params.floor_stop
    why = (
        f"{found.unusable[0]}. It reads: {found.raw[:400]!r}" if found.unusable else ""
    )
    return Check(
        name="outputs_usable",
        setting="role.program",
        value=f"{usable} of {found.n}",
        allowed="at least one output of the probe that the metric can use "
        "(optimize.floor_stop=false goes on regardless)",
        passed=passed,
        message=why,
    )
