"""One optimization, from the baseline to the best program found."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dspy

from po_optimizer.errors import (
    ExecutionStopError,
    InterruptedRunError,
    PoOptimizerError,
)
from po_optimizer.lms import (
    Interrupted,
    StopRun,
    orderly_interrupt,
    use_lm,
)
from po_optimizer.lms.interrupt import Control
from po_optimizer.lms.stops import BudgetReached
from po_optimizer.optimization.budget import Budget
from po_optimizer.optimization.candidates import CandidateIndex
from po_optimizer.optimization.fingerprint import (
    Fingerprint,
    optimization_id,
    run_fingerprint,
)
from po_optimizer.optimization.floor import stop_at_floor
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.optimization.journal import Journal, sole_run
from po_optimizer.optimization.metric import GuardedMetric
from po_optimizer.optimization.optimizers import Job, make_optimizer
from po_optimizer.optimization.optimizers.base import NEVER_GIVE_UP
from po_optimizer.optimization.progress import (
    Ended,
    Phase,
    Progress,
    Scored,
    Started,
    log_event,
)
from po_optimizer.optimization.quiet import quiet_dspy
from po_optimizer.optimization.recorder import Best, Recorder, SaveBest
from po_optimizer.optimization.report import (
    EndedHow,
    OptimizationReport,
    OptimizationResult,
    compare,
)
from po_optimizer.optimization.resume import mark_complete, open_journal
from po_optimizer.optimization.setup import Setup


@dataclass(frozen=True)
class _Run:
    """The parts of one optimization that its steps share."""

    job: Job
    setup: Setup
    control: Control
    budget: Budget
    recorder: Recorder
    journal: Journal
    identity: str
    fingerprint: Fingerprint
    forecast: Forecast | None
    progress: Progress


def optimize(
    setup: Setup,
    *,
    journal_path: Path,
    save_best: SaveBest,
    progress: Progress = log_event,
    forecast: Forecast | None = None,
) -> OptimizationResult:
    """The best program on the valset that the chosen optimizer finds.

    The same call after a kill, a lost LM or an interruption continues, and its result
    equals that of an uninterrupted run. A budget that is reached and a first Ctrl-C
    end the search in order, with the best program so far.

    Args:
        setup: What is optimized, on what, by what; its student is not changed.
        journal_path: JSONL of trials; the run's fingerprint lies beside it.
        save_best: Called with each program that beats all before on the whole valset.
        progress: Told what happens.
        forecast: Of this optimization, for the comparison in the report.

    Raises:
        PoOptimizerError: The data, code or settings changed, another process makes
            this run, hardly an output is usable, the metric gave no score, the
            optimizer failed, the LM stayed unreachable or the disk refused; an
            ExecutionStopError or InterruptedRunError if it ended before the baseline
            was evaluated.
    """
    with sole_run(journal_path):
        run = _prepare(setup, journal_path, save_best, progress, forecast)
        return _carry_out(run)


def _prepare(
    setup: Setup,
    journal_path: Path,
    save_best: SaveBest,
    progress: Progress,
    forecast: Forecast | None,
) -> _Run:
    params, fingerprint = setup.params, run_fingerprint(setup)
    identity = optimization_id(fingerprint)
    journal = open_journal(journal_path, fingerprint, params.on_change)
    control = Control(setup.task_lm, setup.prompt_lm)
    budget = Budget(params.budget, [m.ledger for m in control.meters], identity)
    job = Job(
        student=setup.student,
        trainset=setup.trainset,
        valset=make_optimizer(params).choose_valset(setup.valset),
        metric=GuardedMetric(setup.metric, control.check, control.stop),
        task_lm=setup.task_lm,
        prompt_lm=setup.prompt_lm,
        index=CandidateIndex(setup.student),
        phase=lambda name: progress(Phase(name)),
    )
    recorder = Recorder(
        student=setup.student,
        journal=journal,
        index=job.index,
        valset=job.valset,
        control=control,
        budget=budget,
        save_best=save_best,
        told=lambda trial: progress(Scored(trial, journal.held_before(trial))),
        optimization_id=identity,
    )
    return _Run(
        job=job,
        setup=setup,
        control=control,
        budget=budget,
        recorder=recorder,
        journal=journal,
        identity=identity,
        fingerprint=fingerprint,
        forecast=forecast,
        progress=progress,
    )


def _carry_out(run: _Run) -> OptimizationResult:
    clock, ended = time.monotonic(), "failed"
    run.progress(_started(run))
    try:
        remark, how = _search(run)
        ended = how
    finally:
        best = run.recorder.best
        score = best.trial.score if best else None
        run.progress(Ended(ended, score, time.monotonic() - clock))
    if best is None:
        msg = f"{remark} The baseline was not evaluated, so there is no program yet."
        stop = InterruptedRunError if how == "interrupted" else ExecutionStopError
        raise stop(msg)
    if how == "completed":
        mark_complete(run.journal.path)
    return OptimizationResult(best.program, _report(run, best, how, remark))


def _search(run: _Run) -> tuple[str, EndedHow]:
    """Why the search ended, in words and as a word."""
    with _surroundings(run):
        try:
            _evaluate_baseline(run)
            return make_optimizer(run.setup.params).compile(run.job), "completed"
        except StopRun as stop:
            return _stopped(stop)
        except PoOptimizerError:
            raise
        except Exception as error:
            # DSPy hears a Ctrl-C too and raises that it was cancelled
            if (reason := run.control.stopped()) is not None:
                return _stopped(reason)
            problem = f"{type(error).__name__}: {error}"
            raise PoOptimizerError(
                f"optimize.optimizer={run.setup.params.optimizer!r} failed: {problem}. "
                "The best program so far and every LM answer are kept: correct the "
                "cause, then the same command resumes."
            ) from error


def _stopped(stop: StopRun) -> tuple[str, EndedHow]:
    if isinstance(stop, BudgetReached):
        return str(stop), "budget"
    if isinstance(stop, Interrupted):
        return str(stop), "interrupted"
    raise stop.as_error() from stop


@contextmanager
def _surroundings(run: _Run) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(quiet_dspy())
        stack.enter_context(
            use_lm(
                run.job.task_lm,
                stage="optimize",
                optimization_id=run.identity,
                callbacks=[run.recorder],
            )
        )
        stack.enter_context(run.control.guarded(run.budget.check))
        stack.enter_context(orderly_interrupt(run.control.stop))
        stack.callback(run.control.wait_until_idle)
        yield


def _evaluate_baseline(run: _Run) -> None:
    job = run.job
    job.phase("baseline")
    evaluate = dspy.Evaluate(
        devset=job.valset,
        metric=job.metric,
        num_threads=job.task_lm.num_threads,
        max_errors=NEVER_GIVE_UP,
        failure_score=0.0,
    )
    evaluate(job.student)
    results = run.recorder.first_results
    stop_at_floor(
        run.journal.trials[0], results, job.student, job.metric, run.setup.params
    )


def _started(run: _Run) -> Started:
    optimizer = make_optimizer(run.setup.params)
    return Started(
        optimizer=run.setup.params.optimizer,
        trials=optimizer.evaluations(run.setup.sizes()),
        resumed=run.journal.n_earlier,
        forecast=run.forecast,
        spent=run.budget.spent,
    )


def _report(run: _Run, best: Best, how: EndedHow, remark: str) -> OptimizationReport:
    spent, seconds = run.budget.spent(), round(run.budget.wall_seconds, 1)
    predictors = best.program.predictors()
    return OptimizationReport(
        optimizer=run.setup.params.optimizer,
        optimization_id=run.identity,
        seed=run.setup.params.seed,
        ended=how,
        reason=remark,
        baseline=run.journal.trials[0],
        best=best.trial,
        instructions=[p.signature.instructions for p in predictors],
        n_demos=[len(p.demos) for p in predictors],
        n_trials=len(run.journal.trials),
        seconds=seconds,
        spent=spent,
        forecast=run.forecast,
        forecast_against_actual=compare(run.forecast, spent, seconds),
        fingerprint=run.fingerprint,
    )
