"""Nodes of optimize: prove that it can succeed, say what it costs, do it."""

from logging import getLogger
from pathlib import Path
from typing import Any

from po_optimizer.api.optimized import search
from po_optimizer.console.live import StageBar, show
from po_optimizer.datasets.record_stream import RecordStream
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.optimization.forecast import Forecast, forecast, mean_usage
from po_optimizer.optimization.headroom import with_headroom
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.preflight.run import preflight
from po_optimizer.params.evaluate import EvaluateParams, PromotionParams
from po_optimizer.params.optimize import OptimizeParams
from po_optimizer.params.project import RoleParams
from po_optimizer.records.checking import to_examples
from po_optimizer.roles.build import load_metric, make_program
from po_optimizer.roles.record import load_record_type

logger = getLogger(__name__)

Records = list[dict[str, Any]]
_PROBED = 5  # calls that a preflight usually waits for, one after the other


def prepare_optimization(
    trainset: Records,
    valset: Records,
    testset: RecordStream,
    task_lm: MeteredLM,
    prompt_lm: MeteredLM,
    role: RoleParams,
    optimize_params: OptimizeParams,
    promotion: PromotionParams,
    evaluate: EvaluateParams,
    workspace: Path,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The preflight report and the forecast of calls, time and cost to come.

    It raises what would make the optimization fail later.
    """
    job = _job(trainset, valset, task_lm, prompt_lm, role, optimize_params)
    usual = _PROBED * mean_usage(task_lm).seconds
    with show(StageBar("preflight", seconds=usual)):
        report = preflight(
            job,
            testset=to_examples(testset, load_record_type(role)),
            target_rubric=promotion.target_rubric,
            disk_path=workspace,
        )
    logger.info("preflight: %d checks passed", len(report.checks))
    expected = forecast(
        job,
        report,
        n_evaluated=len(testset) * evaluate.repeats,
        n_used=1 if role.integration else 0,
    )
    with show(StageBar("forecast", seconds=expected.seconds / 5)):
        expected = with_headroom(job, expected)
    return report.model_dump(mode="json"), expected.model_dump(mode="json")


def optimize_program(
    trainset: Records,
    valset: Records,
    task_lm: MeteredLM,
    prompt_lm: MeteredLM,
    role: RoleParams,
    optimize_params: OptimizeParams,
    expected: dict[str, Any],
    workspace: Path,
) -> dict[str, Any]:
    """The best program on the valset, its trials and the report on the search.

    The workspace keeps the journal and the best program so far while the node runs.
    """
    job = _job(trainset, valset, task_lm, prompt_lm, role, optimize_params)
    result = search(job, workspace, Forecast.model_validate(expected), role)
    return {
        "candidate_program": result.program,
        "trials": [trial.model_dump(mode="json") for trial in result.trials],
        "optimization_report": result.report.model_dump(mode="json"),
    }


def _job(
    trainset: Records,
    valset: Records,
    task_lm: MeteredLM,
    prompt_lm: MeteredLM,
    role: RoleParams,
    optimize_params: OptimizeParams,
) -> Job:
    record_type = load_record_type(role)
    return Job(
        student=make_program(role, task_lm),
        trainset=to_examples(trainset, record_type),
        valset=to_examples(valset, record_type),
        metric=load_metric(role),
        task_lm=task_lm,
        prompt_lm=prompt_lm,
        params=optimize_params,
    )
