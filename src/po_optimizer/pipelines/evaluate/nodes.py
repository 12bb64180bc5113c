"""Nodes of evaluate: both programs on the testset, compared and decided."""

from typing import Any

import dspy
import plotly.graph_objects as go

from po_optimizer.errors import NoProgramError
from po_optimizer.evaluation import (
    PredictionRecord,
    Promotion,
    ScoreReport,
    Selection,
    check_fail_below,
    compare,
    decide,
    predict_all,
    prompt_diff_html,
    render_report,
    report_figures,
    score_references,
)
from po_optimizer.lms import MeteredLM
from po_optimizer.params import EvaluateParams, PromotionParams, RoleParams
from po_optimizer.persistence import extract_program_components, get_provenance
from po_optimizer.records import to_examples
from po_optimizer.roles import load_metric, load_record_type, make_program

Records = list[dict[str, Any]]


def predict_both(
    optimized_program: dspy.Module | None,
    testset: Records,
    task_lm: MeteredLM,
    role: RoleParams,
) -> tuple[Records, Records]:
    """Both programs' answers to every testset example, scored: baseline, optimized."""
    if optimized_program is None:
        raise NoProgramError("evaluate", task_lm.slug)
    baseline = _predict(make_program(role), testset, task_lm, role, "baseline")
    return baseline, _predict(optimized_program, testset, task_lm, role, "optimized")


def _predict(
    program: dspy.Module, testset: Records, lm: MeteredLM, role: RoleParams, which: Any
) -> Records:
    records = predict_all(
        program,
        to_examples(testset, load_record_type(role)),
        load_metric(role),
        lm,
        stage=f"evaluate {which}",
        which=which,
        num_threads=lm.params.num_threads,
    )
    return [record.model_dump(mode="json") for record in records]


def compare_programs(
    baseline_predictions: Records,
    optimized_predictions: Records,
    optimized_program: dspy.Module,
    testset: Records,
    trials: Records,
    task_lm: MeteredLM,
    role: RoleParams,
    promotion: PromotionParams,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The score report and the decision on this program, each with its reasons."""
    examples = to_examples(testset, load_record_type(role))
    stages = task_lm.meter.ledger.stages(task_lm.meter.run_id)
    full = [trial for trial in trials if trial["kind"] != "minibatch"]
    report = compare(
        [PredictionRecord.model_validate(one) for one in baseline_predictions],
        [PredictionRecord.model_validate(one) for one in optimized_predictions],
        promotion,
        reference=score_references(examples, load_metric(role)),
        selection=Selection(
            n_candidates=len(full),
            n_valset=full[0]["n"],
            baseline_score=full[0]["score"],
            best_score=max(trial["score"] for trial in full),
        ),
        usage={
            which: stages[f"evaluate {which}"]
            for which in ("baseline", "optimized")
            if f"evaluate {which}" in stages
        },
    )
    judged = extract_program_components(optimized_program)["fingerprint"]
    decision = decide(report, promotion).model_copy(update={"program": judged})
    return report.model_dump(mode="json"), decision.model_dump(mode="json")


def draw_figures(
    score_report: dict[str, Any],
    baseline_predictions: Records,
    optimized_predictions: Records,
    trials: Records,
    task_lm: MeteredLM,
) -> dict[str, go.Figure]:
    """The report's figures, each a catalog entry that kedro-viz shows."""
    meter = task_lm.meter
    figures = report_figures(
        ScoreReport.model_validate(score_report),
        [PredictionRecord.model_validate(one) for one in baseline_predictions],
        [PredictionRecord.model_validate(one) for one in optimized_predictions],
        trials=trials,
        stages=meter.ledger.stages(meter.run_id),
    )
    return {f"{name}_figure": figure for name, figure in figures.items()}


def write_report(
    score_report: dict[str, Any],
    promotion: dict[str, Any],
    baseline_predictions: Records,
    optimized_predictions: Records,
    trials: Records,
    preflight_report: dict[str, Any],
    optimized_program: dspy.Module,
    role: RoleParams,
    task_lm: MeteredLM,
) -> str:
    """The whole result as one self-contained page."""
    meter = task_lm.meter
    return render_report(
        ScoreReport.model_validate(score_report),
        Promotion.model_validate(promotion),
        [PredictionRecord.model_validate(one) for one in baseline_predictions],
        [PredictionRecord.model_validate(one) for one in optimized_predictions],
        title=f"{role.program.rpartition('.')[2]} on {task_lm.slug}",
        trials=trials,
        stages=meter.ledger.stages(meter.run_id),
        prompt_diff=prompt_diff_html(make_program(role), optimized_program),
        preflight=preflight_report["checks"],
        settings=get_provenance(optimized_program),
    )


def check_bounds(
    score_report: dict[str, Any], written_report: str, evaluate: EvaluateParams
) -> None:
    """Raises if the rubric or the uplift is below `evaluate.fail_below`.

    It takes the written report so that it runs last: a failed gate has its report.
    """
    report = ScoreReport.model_validate(score_report)
    check_fail_below(report, evaluate.fail_below)
