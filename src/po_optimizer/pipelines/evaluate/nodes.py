"""Nodes of evaluate: both programs on the testset, compared and decided."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.console.live import watch
from po_optimizer.datasets.record_stream import RecordStream
from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.estimates import Origin
from po_optimizer.evaluation.judge import judge_programs
from po_optimizer.evaluation.predict import predict_all
from po_optimizer.evaluation.predictions import Predictions, Which
from po_optimizer.evaluation.promotion import Promotion, check_fail_below
from po_optimizer.evaluation.score_report import RunUsage, ScoreReport
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.lms.usage import Usage
from po_optimizer.params.evaluate import EvaluateParams, PromotionParams
from po_optimizer.params.project import RoleParams
from po_optimizer.persistence import extract_program_components, get_provenance
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.records.checking import iter_examples, iter_groups
from po_optimizer.records.splits import records_hash
from po_optimizer.reporting.examples import choose_cases
from po_optimizer.reporting.figures import report_figures
from po_optimizer.reporting.page import render_report
from po_optimizer.reporting.prompt_diff import (
    change_lines,
    prompt_changes,
    prompt_diff_html,
)
from po_optimizer.reporting.runs import Champion, RunSummary
from po_optimizer.roles.build import load_metric, make_program
from po_optimizer.roles.record import load_record_type

Answers = Iterator[dict[str, Any]]
_ONCE = EvaluateParams()


def predict_programs(
    optimized_program: dspy.Module | None,
    champion_program: dspy.Module | None,
    testset: RecordStream,
    task_lm: MeteredLM,
    role: RoleParams,
    evaluate: EvaluateParams = _ONCE,
) -> tuple[Answers, Answers, Answers]:
    """Answers to every testset example, scored: baseline, optimized, promoted program.

    The answers are made while they are saved, one program after the other: a
    program's prompts have their beginning in common, and a server that keeps the last
    prompt's reads only what is new. The promoted program answers again because the
    testset may be another one; on the same one its answers are kept. There are none
    where no program is promoted, or this one is.
    """
    if optimized_program is None:
        raise PoOptimizerError(
            f"evaluate: no optimized program is stored for {task_lm.slug}. "
            "Make one with the same --env: kedro run --pipeline=persist"
        )
    champion = champion_program
    if champion and prompt_hashes(champion) == prompt_hashes(optimized_program):
        champion = None

    n, record_type, metric = len(testset), load_record_type(role), load_metric(role)

    def predict(program: dspy.Module, which: Which) -> Answers:
        stage = f"evaluate {which}"
        predictions = predict_all(
            program,
            iter_examples(testset, record_type),
            metric,
            task_lm,
            stage=stage,
            n=n,
            which=which,
            repeats=evaluate.repeats,
            groups=iter_groups(testset, record_type),
            strata=role.stratum,
        )
        watched = watch(predictions, stage, n)
        return (record.model_dump(mode="json") for record in watched)

    return (
        predict(make_program(role, task_lm), "baseline"),
        predict(optimized_program, "optimized"),
        predict(champion, "champion") if champion else iter(()),
    )


def count_calls(
    champion_predictions: RecordStream, task_lm: MeteredLM
) -> dict[str, Any]:
    """What this run's LM calls took, stage by stage, once all answers are stored."""
    return RunUsage.of(task_lm).model_dump(mode="json")


def compare_prompts(
    optimized_program: dspy.Module, task_lm: MeteredLM, role: RoleParams
) -> tuple[str, list[str]]:
    """The prompt before and after, demos included: as a page, and in a few lines."""
    changes = prompt_changes(make_program(role, task_lm), optimized_program)
    return prompt_diff_html(changes), [*change_lines(changes)]


def compare_programs(
    baseline_predictions: RecordStream,
    optimized_predictions: RecordStream,
    champion_predictions: RecordStream,
    optimized_program: dspy.Module,
    champion_program: dspy.Module | None,
    champion: dict[str, Any] | None,
    testset: RecordStream,
    trials: list[dict[str, Any]] | None,
    lm_usage: dict[str, Any],
    role: RoleParams,
    promotion: PromotionParams,
    judged_programs: Path,
) -> dict[str, Any]:
    """The score report, the decision on this program, and who is promoted after it.

    The program is entered among those that were judged on this testset.
    """
    usage = RunUsage.model_validate(lm_usage)
    report, decision = judge_programs(
        Predictions(baseline_predictions),
        Predictions(optimized_predictions),
        examples=iter_examples(testset, load_record_type(role)),
        metric=load_metric(role),
        program=optimized_program,
        champion=Predictions(champion_predictions)
        if len(champion_predictions)
        else None,
        champion_program=champion_program,
        origin=Origin(
            testset=records_hash(testset),
            metric=f"{role.metric} {json.dumps(role.metric_args, sort_keys=True)}",
            program=role.program,
        ),
        usage=usage,
        trials=trials or [],
        promotion=promotion,
        judged=judged_programs / "judged.jsonl",
    )
    stood = Champion.model_validate(champion or {})
    if champion is None and champion_program is not None:  # of before champion.json
        stood = Champion(program=prompt_hashes(champion_program))
    return {
        "score_report": report.model_dump(mode="json"),
        "promotion": decision.model_dump(mode="json"),
        "new_champion": stood.after(decision, usage.run).model_dump(mode="json"),
    }


def write_report(
    score_report: dict[str, Any],
    promotion: dict[str, Any],
    baseline_predictions: RecordStream,
    optimized_predictions: RecordStream,
    trials: list[dict[str, Any]] | None,
    preflight_report: dict[str, Any] | None,
    optimization_report: dict[str, Any] | None,
    optimized_program: dspy.Module,
    prompt_diff: str,
    lm_usage: dict[str, Any],
    role: RoleParams,
) -> dict[str, Any]:
    """The result as one self-contained page, its figures, what the run's folder keeps.

    Each figure is a catalog entry that kedro-viz shows.
    """
    usage = RunUsage.model_validate(lm_usage)
    provenance = get_provenance(optimized_program)
    report = ScoreReport.model_validate(score_report)
    decision = Promotion.model_validate(promotion)
    cases = choose_cases(
        Predictions(baseline_predictions), Predictions(optimized_predictions)
    )
    trials = trials or []
    figures = report_figures(report, cases, trials)
    page = render_report(
        report,
        decision,
        cases,
        figures,
        title=_title(role, usage.lm, provenance.get("task_lm", usage.lm)),
        run=usage.run,
        trials=trials,
        stages=usage.stages,
        prompt_diff=prompt_diff,
        preflight=(preflight_report or {}).get("checks", []),
        settings=provenance,
    )
    spent = Usage.model_validate((optimization_report or {}).get("spent", {}))
    summary = RunSummary.of(report, decision, usage, provenance, spent)
    files = {
        "report.html": page,
        "prompt_diff.html": prompt_diff,
        "score_report.json": json.dumps(score_report),
        "promotion.json": json.dumps(promotion),
        "trials.json": json.dumps(trials),
        "program.json": json.dumps(extract_program_components(optimized_program)),
        "run.json": summary.model_dump_json(),
    }
    return {
        "report": page,
        "kept_runs": {f"{usage.run}/{name}": text for name, text in files.items()},
        **{f"{name}_figure": figure for name, figure in figures.items()},
    }


def _title(role: RoleParams, lm: str, optimized_on: str) -> str:
    title = f"{re.split('[.:]', role.program)[-1]} on {lm}"
    return title if optimized_on == lm else f"{title}, optimized on {optimized_on}"


def check_bounds(
    score_report: dict[str, Any], kept_runs: list[str], evaluate: EvaluateParams
) -> None:
    """Raises if a bound of `evaluate.fail_below` or `fail_above` is not met.

    It takes the kept runs so that it is last: a failed gate has its report.
    """
    report = ScoreReport.model_validate(score_report)
    check_fail_below(report, evaluate.fail_below, evaluate.fail_above)
