"""Optimize a DSPy program from Python, with the guards of the project.

The Kedro stages call the same steps; what differs is where the results lie: here, in
one folder of the caller's.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dspy

from po_optimizer.api.arguments import (
    LM,
    Optimizer,
    checked_folder,
    metered_lm,
    names_of_arguments,
    optimize_params,
    show_log,
    write_lines,
    write_result,
)
from po_optimizer.console.live import show_progress
from po_optimizer.errors import InterruptedRunError, SettingError, listed
from po_optimizer.evaluation.predict import blank
from po_optimizer.evaluation.predictions import PredictionRecord, json_ready
from po_optimizer.lms.interrupt import orderly_interrupt, stop_lms_in_use
from po_optimizer.optimization import inputs
from po_optimizer.optimization.forecast import Forecast, forecast
from po_optimizer.optimization.guarded_metric import is_failed
from po_optimizer.optimization.headroom import with_headroom
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.journal import BEST_ANSWERS, Trial, changes_since
from po_optimizer.optimization.preflight.run import preflight
from po_optimizer.optimization.report import (
    Event,
    OptimizationReport,
    OptimizationResult,
    Scored,
    Started,
    publish,
)
from po_optimizer.optimization.run import optimize as run_optimizer
from po_optimizer.optimization.run_identity import run_fingerprint
from po_optimizer.params.project import RoleParams
from po_optimizer.persistence import attach_provenance, save_program
from po_optimizer.records.in_memory import Rows, make_splits, note_seen
from po_optimizer.roles.build import Synchronous, check_metric, check_program, name_of
from po_optimizer.roles.metric import Metric, output_names
from po_optimizer.roles.score import Score

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Optimized:
    """The result of an optimization.

    Attributes:
        program: The best program on the valset; the student itself if none was better.
        report: How it went: baseline and best score in [0, 1], how it ended, LM calls,
            tokens, cost in US dollars and seconds over all restarts.
        trials: Every candidate that was scored, in order; the first is the baseline.
        folder: Where everything is stored, `program.json` too.
    """

    program: dspy.Module
    report: OptimizationReport
    trials: list[Trial]
    folder: Path

    def __repr__(self) -> str:
        """In a line, for a notebook's cell."""
        before, best = self.report.baseline.score, self.report.best.score
        scores = f"{before:.3f} -> {best:.3f} on the valset"
        return f"Optimized({self.report.ended}, {scores}, folder='{self.folder}')"


@names_of_arguments()
def optimize(
    program: dspy.Module,
    *,
    trainset: Rows,
    valset: Rows = None,
    metric: Metric,
    lm: LM,
    prompt_lm: LM | None = None,
    optimizer: Optimizer = "miprov2",
    folder: str | Path,
    budget: Mapping[str, float] | None = None,
    seed: int = 9,
    num_threads: int | None = None,
    on_change: Literal["stop", "restart"] = "stop",
    **settings: Any,
) -> Optimized:
    """Find the program that scores best on the valset, and store it with a report.

    Before anything is paid, a preflight checks that the optimization can succeed, and
    a forecast says what it takes. After a crash, a lost LM or Ctrl-C the same call
    continues from the folder and pays only for calls that were cut off. After the end
    it returns the same result and pays nothing.

    Args:
        program: A `dspy.Module`, hand-written or optimized before; it is not changed.
        trainset: Demos are taken from it: `dspy.Example`s, dicts or a DataFrame. If
            inputs are not marked, they are the arguments of the program's forward.
        valset: Candidates are chosen on it; None: half of the trainset.
        metric: A function `(example, prediction)`, perhaps with `trace` and what GEPA
            adds, that returns a number in [0, 1], a bool, or a Prediction with `score`
            and `feedback`.
        lm: Runs the program: an LM, or "openai/gpt-4o-mini", "ollama_chat/mistral",
            "embedded". DSPy's configured adapter is used.
        prompt_lm: Writes instructions; None: `lm`.
        optimizer: miprov2, gepa or bootstrap_random_search.
        folder: For this optimization alone; it is made if it is missing.
        budget: Limits over all restarts: max_calls, max_tokens, max_cost_usd (US
            dollars), max_minutes. When one is reached, the search ends with the best
            program so far (`report.ended == "budget"`).
        seed: Of every random choice.
        num_threads: LM calls at a time; None: what the server can, else 8.
        on_change: "restart" begins anew in a folder that holds another optimization.
        settings: The optimizer's, under DSPy's names (num_trials, auto ...), and
            `headroom`, `floor_stop`, `floor_usable`, `preflight`, as in
            parameters_optimize.yml.

    Raises:
        SettingError: An argument cannot work, a row is no example of the program, or
            the folder is another run's.
        PreflightError: The optimization could not succeed; its `report` says why.
        InterruptedRunError: Ctrl-C; the best program so far is in the folder.
        PoOptimizerError: The LM stayed unreachable, the disk is full, and the like.
    """
    show_log()
    chosen = {"seed": seed, "budget": budget or {}, "on_change": on_change}
    params = optimize_params(optimizer, {**chosen, **settings})
    student, place = check_program("program", program), checked_folder(folder)
    train, val = make_splits(trainset, valset, student, seed)
    task_lm = metered_lm("lm", lm, place, num_threads)
    job = Job(
        student=student,
        trainset=train,
        valset=val,
        metric=check_metric(metric),
        task_lm=task_lm,
        prompt_lm=metered_lm("prompt_lm", prompt_lm or lm, place, num_threads),
        params=params,
    )
    _check_same_run(job, place)
    note_seen({"trainset": train, "valset": val}, place)
    with orderly_interrupt(stop_lms_in_use):
        report = preflight(job, disk_path=place)
    write_result(place / "preflight_report.json", report)
    expected = with_headroom(job, forecast(job, report))
    write_result(place / "forecast.json", expected)
    result = search(job, place, expected)
    provenance = result.report.provenance(
        splits={"trainset": len(train), "valset": len(val)}, metric=name_of(metric)
    )
    best = result.program
    if isinstance(best, Synchronous):  # it was only for the optimizer
        best = best.program
    program = attach_provenance(best, provenance)
    save_program(program, place / "program.json")
    write_result(place / "optimization_report.json", result.report)
    if result.report.ended == "interrupted":
        msg = (
            f"the optimization was stopped: {result.report.reason} The best program so "
            f"far is {place / 'program.json'}; the same call continues."
        )
        raise InterruptedRunError(msg)
    if result.report.ended == "budget":
        logger.warning("the optimization ended early: %s", result.report.reason)
    optimized = Optimized(program, result.report, result.trials, place)
    publish(optimized)
    return optimized


def search(
    job: Job,
    workspace: Path,
    expected: Forecast,
    role: RoleParams | None = None,
) -> OptimizationResult:
    """The optimizer's run with its progress shown and the best so far on the disk.

    Args:
        job: What is optimized, on what, by what.
        workspace: Keeps the journal, what the run is made of, and the best program
            so far with its answers to the valset.
        expected: The forecast of this job.
        role: That the job is of; None: no project's.
    """
    arguments = role.program_args if role else None

    def save_best(program: dspy.Module, _trial: Trial) -> None:
        path = workspace / "best_program_so_far.json"
        save_program(program, path, dill="off", verify="inline", arguments=arguments)

    with show_progress() as progress:

        def note(event: Event) -> None:
            if isinstance(event, Started):  # it is no other run's workspace
                write_result(workspace / inputs.FILE, inputs.RunInputs.of(job, role))
            if isinstance(event, Scored) and event.is_best:
                records = (_record(n, *a) for n, a in enumerate(event.answers))
                write_lines(workspace / BEST_ANSWERS, records)
            progress(event)

        return run_optimizer(
            job,
            workspace=workspace,
            save_best=save_best,
            progress=note,
            forecast=expected,
        )


def _record(
    number: int, example: dspy.Example, prediction: Any, result: Any
) -> PredictionRecord:
    """What a candidate answered in the search, as an evaluation keeps it."""
    outputs = {name: prediction[name] for name in output_names(prediction)}
    score = Score.of(result)
    return blank(example, number, "optimized").model_copy(
        update={
            "outputs": json_ready(outputs) or None,
            "status": "failed" if is_failed(result) else "ok",
            "reason": score.unusable or "",
            "score": score.value,
            "feedback": score.feedback,
        }
    )


def _check_same_run(job: Job, folder: Path) -> None:
    """Refuses a folder that holds another optimization, finished or not."""
    changed = changes_since(folder / "trials.jsonl", run_fingerprint(job))
    if changed and job.params.on_change == "stop":
        raise SettingError(
            "folder",
            str(folder),
            f"it holds another optimization (different: {listed(changed)})",
            'Name another folder, or on_change="restart" to begin anew in this one '
            "(LM answers are kept).",
        )
