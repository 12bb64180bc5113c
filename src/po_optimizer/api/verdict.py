"""Measure two DSPy programs from Python, with the guards of the project."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.api.arguments import (
    LM,
    check_count,
    checked_folder,
    checked_settings,
    metered_lm,
    names_of_arguments,
    show_log,
    write_lines,
    write_result,
)
from po_optimizer.console.live import watch
from po_optimizer.errors import needs_extra
from po_optimizer.evaluation.estimates import Estimate, Origin
from po_optimizer.evaluation.judge import judge_programs
from po_optimizer.evaluation.predict import predict_all
from po_optimizer.evaluation.predictions import json_ready
from po_optimizer.evaluation.score_report import RunUsage, ScoreReport
from po_optimizer.files import write_whole
from po_optimizer.lms.interrupt import orderly_interrupt, stop_lms_in_use
from po_optimizer.optimization.journal import read_journal
from po_optimizer.optimization.report import publish
from po_optimizer.params.evaluate import PromotionParams
from po_optimizer.persistence import get_provenance
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.records.in_memory import (
    Rows,
    check_no_demo,
    check_unseen,
    examples_of,
    groups_of_equals,
    input_hashes,
)
from po_optimizer.records.splits import records_hash
from po_optimizer.roles.build import check_metric, check_program, name_of
from po_optimizer.roles.metric import Metric


@dataclass(frozen=True)
class Verdict:
    """The result of an evaluation: both programs on the testset, and a decision.

    Attributes:
        decision: promote, keep_baseline, keep_champion, below_target or inconclusive.
        uplift: Mean of optimized - baseline over the testset, in [-1, 1], with its n
            and interval.
        reasons: Why, one sentence each, the deciding ones first.
        report: Means, intervals and components of both programs, in [0, 1].
        folder: Where report, predictions and page are stored.
    """

    decision: str
    uplift: Estimate
    reasons: list[str]
    report: ScoreReport
    folder: Path
    _page: Callable[[], str] = field(repr=False)

    def __repr__(self) -> str:
        """The decision and why, for a notebook's cell."""
        why = " ".join(self.reasons)
        return f"Verdict({self.decision}: {why} folder='{self.folder}')"

    @cached_property
    def report_html(self) -> Path:
        """The whole result as one self-contained page, written when it is asked for.

        Raises:
            PoOptimizerError: The extra `report` is not installed.
        """
        path = self.folder / "report.html"
        write_whole(path, self._page())
        return path


@names_of_arguments()
def evaluate(
    baseline: dspy.Module,
    program: dspy.Module,
    *,
    champion: dspy.Module | None = None,
    testset: Rows,
    metric: Metric,
    lm: LM,
    folder: str | Path,
    num_threads: int | None = None,
    repeats: int = 1,
    **settings: Any,
) -> Verdict:
    """Compare two programs on the testset, pair by pair, and decide.

    Answers are kept in the folder: the same call again costs nothing, and after a crash
    only the calls that were cut off.

    Args:
        baseline: What the program must be better than.
        program: The optimized program.
        champion: The program that runs today, if it is another one: it must be beaten,
            unless the baseline is better on this testset.
        testset: Examples that are neither in the trainset nor in the valset; those with
            equal inputs count as one.
        metric: As in `optimize`.
        lm: Runs both programs.
        folder: The optimization's, or another one.
        num_threads: LM calls at a time; None: what the server can, else 8.
        repeats: Answers to each example; their mean is its score.
        settings: For the decision: target_rubric, confidence, num_resamples, seed,
            num_compared, override, as in parameters_evaluate.yml.

    Raises:
        SettingError: An argument cannot work, a row is no example of the program, or
            the optimization of the folder saw one of them.
        PoOptimizerError: The LM stayed unreachable, the metric gave no score, and the
            like.
    """
    show_log()
    check_count("repeats", repeats)
    promotion = checked_settings(PromotionParams, settings)
    programs: dict[Any, dspy.Module] = {
        "baseline": check_program("baseline", baseline),
        "optimized": check_program("program", program),
    }
    stood = None if champion is None else check_program("champion", champion)
    if stood and prompt_hashes(stood) != prompt_hashes(programs["optimized"]):
        programs["champion"] = stood
    place, scored = checked_folder(folder), check_metric(metric)
    examples = examples_of(testset, programs["baseline"], "testset")
    hashes = input_hashes(examples)
    check_unseen(examples, hashes, place)
    for judged in programs.values():
        check_no_demo(examples, hashes, judged)
    groups = groups_of_equals(hashes)
    task_lm = metered_lm("lm", lm, place, num_threads)
    records = {}
    with orderly_interrupt(stop_lms_in_use):
        for which, asked in programs.items():
            answers = predict_all(
                asked,
                examples,
                scored,
                task_lm,
                stage=f"evaluate {which}",
                n=len(examples),
                which=which,
                repeats=repeats,
                groups=groups,
            )
            watched = watch(answers, f"evaluate {which}", len(examples))
            records[which] = list(watched)
            write_lines(place / f"{which}_predictions.jsonl", records[which])
    usage, trials = RunUsage.of(task_lm), read_journal(place / "trials.jsonl")
    trial_rows = [trial.model_dump(mode="json") for trial in trials]
    report, decision = judge_programs(
        records["baseline"],
        records["optimized"],
        examples=examples,
        metric=scored,
        program=programs["optimized"],
        champion=records.get("champion"),
        champion_program=stood,
        origin=Origin(
            testset=records_hash([json_ready(e.toDict()) for e in examples]),
            metric=name_of(scored),
            program=type(programs["optimized"]).__qualname__,
        ),
        usage=usage,
        trials=trial_rows,
        promotion=promotion,
        judged=place / "judged.jsonl",
    )
    write_result(place / "score_report.json", report)
    write_result(place / "promotion.json", decision)

    def page() -> str:
        with needs_extra("report", "the page of a report"):
            from po_optimizer.reporting.examples import choose_cases  # noqa: PLC0415
            from po_optimizer.reporting.figures import report_figures  # noqa: PLC0415
            from po_optimizer.reporting.page import render_report  # noqa: PLC0415
            from po_optimizer.reporting.prompt_diff import (  # noqa: PLC0415
                prompt_changes,
                prompt_diff_html,
            )
        checks = place / "preflight_report.json"
        cases = choose_cases(records["baseline"], records["optimized"])
        changes = prompt_changes(programs["baseline"], programs["optimized"])
        return render_report(
            report,
            decision,
            cases,
            report_figures(report, cases, trial_rows),
            title=f"{type(programs['optimized']).__qualname__} on {task_lm.slug}",
            trials=trial_rows,
            stages=usage.stages,
            prompt_diff=prompt_diff_html(changes),
            preflight=json.loads(checks.read_text("utf-8"))["checks"]
            if checks.exists()
            else [],
            settings=get_provenance(programs["optimized"]),
        )

    verdict = Verdict(
        decision.decision,
        report.uplift.score,
        decision.reasons,
        report,
        place,
        page,
    )
    publish(verdict)
    return verdict
