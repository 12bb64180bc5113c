"""One optimization, from the baseline to the best program found."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dspy

from po_optimizer.errors import (
    ExecutionStopError,
    OptimizerFailedError,
    PoOptimizerError,
)
from po_optimizer.lms import MeteredLM, StopRun, use_lm
from po_optimizer.optimization.budget import Budget
from po_optimizer.optimization.candidates import CandidateIndex
from po_optimizer.optimization.control import Control
from po_optimizer.optimization.effort import Effort
from po_optimizer.optimization.fingerprint import (
    Fingerprint,
    optimization_id,
    run_fingerprint,
)
from po_optimizer.optimization.floor import stop_at_floor
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.optimization.interrupt import (
    orderly_interrupt,
    pool_threads,
    wait_for_calls_in_flight,
)
from po_optimizer.optimization.journal import Journal
from po_optimizer.optimization.metric import GuardedMetric
from po_optimizer.optimization.optimizers import Job, Sizes, make_optimizer
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
from po_optimizer.optimization.resume import open_journal
from po_optimizer.optimization.stops import BudgetReached, Interrupted
from po_optimizer.params import OptimizeParams
from po_optimizer.roles import Metric


@dataclass(frozen=True)
class _Run:
    """The parts of one optimization that its steps share."""

    job: Job
    params: OptimizeParams
    control: Control
    budget: Budget
    recorder: Recorder
    journal: Journal
    fingerprint: Fingerprint
    forecast: Forecast | None
    progress: Progress


def optimize(
    student: dspy.Module,
    trainset: list[dspy.Example],
    valset: list[dspy.Example],
    metric: Metric,
    *,
    task_lm: MeteredLM,
    prompt_lm: MeteredLM,
    params: OptimizeParams,
    journal_path: Path,
    save_best: SaveBest,
    progress: Progress = log_event,
    forecast: Forecast | None = None,
) -> OptimizationResult:
    """The best program on the valset that the chosen optimizer finds.

    The same call after a kill, a lost LM or an interruption continues: answers come
    from the response cache, the journal is taken up where it ended, and the result
    equals that of an uninterrupted run. A budget that is reached and a first Ctrl-C
    end the search in order with the best program so far.

    Args:
        student: The baseline program; it is not changed.
        trainset: Demos come from it.
        valset: Candidates are chosen on it.
        metric: (example, prediction, trace) -> score in [0, 1].
        task_lm: Runs the program.
        prompt_lm: Writes instructions.
        params: The optimizer, its arguments and its bounds.
        journal_path: JSONL of trials; the run's fingerprint lies beside it.
        save_best: Called with each program that beats all before on the whole valset.
        progress: Told what happens.
        forecast: Of this optimization, for the comparison in the report.

    Raises:
        ChangedRunError: The journal is of a run with other data, code or settings.
        FloorStopError: The baseline shows that optimizing cannot succeed.
        MetricError: The metric gave no score in [0, 1].
        ExecutionStopError: It ended before the baseline was evaluated.
        OptimizerFailedError: DSPy's optimizer raised.
        PoOptimizerError: The LM stayed unreachable, or the disk refused.
    """
    fingerprint = run_fingerprint(
        student=student,
        trainset=trainset,
        valset=valset,
        metric=metric,
        task_lm=task_lm,
        prompt_lm=prompt_lm,
        params=params,
    )
    journal = open_journal(journal_path, fingerprint, params.on_change)
    control = Control(task_lm, prompt_lm)
    job = Job(
        student=student,
        trainset=trainset,
        valset=make_optimizer(params).choose_valset(valset),
        metric=GuardedMetric(metric, control.check, control.stop),
        task_lm=task_lm,
        prompt_lm=prompt_lm,
        index=CandidateIndex(student),
        phase=lambda name: progress(Phase(name)),
    )
    identity = optimization_id(fingerprint)
    ledgers = [meter.ledger for meter in control.meters]
    run = _Run(
        job=job,
        params=params,
        control=control,
        budget=Budget(params.budget, ledgers, identity),
        recorder=_recorder(
            job,
            control,
            journal,
            save_best=save_best,
            progress=progress,
            identity=identity,
        ),
        journal=journal,
        fingerprint=fingerprint,
        forecast=forecast,
        progress=progress,
    )
    return _carry_out(run)


def _recorder(
    job: Job,
    control: Control,
    journal: Journal,
    *,
    save_best: SaveBest,
    progress: Progress,
    identity: str,
) -> Recorder:
    return Recorder(
        journal=journal,
        index=job.index,
        valset=job.valset,
        effort=Effort(control.meters, identity),
        save_best=save_best,
        told=lambda trial: progress(Scored(trial)),
        stopped=control.stopped,
        stop=control.stop,
        optimization_id=identity,
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
        raise ExecutionStopError(msg)
    return OptimizationResult(best.program, _report(run, best, how, remark))


def _search(run: _Run) -> tuple[str, EndedHow]:
    """Why the search ended, in words and as a word."""
    with _surroundings(run):
        try:
            _evaluate_baseline(run)
            return make_optimizer(run.params).compile(run.job), "completed"
        except BudgetReached as stop:
            return str(stop), "budget"
        except Interrupted as stop:
            return str(stop), "interrupted"
        except StopRun as stop:
            raise stop.as_error() from stop
        except PoOptimizerError:
            raise
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise OptimizerFailedError(run.params.optimizer, problem) from error


@contextmanager
def _surroundings(run: _Run) -> Iterator[None]:
    task_lm, identity = run.job.task_lm, optimization_id(run.fingerprint)
    pools = pool_threads()
    with ExitStack() as stack:
        stack.enter_context(quiet_dspy())
        stack.enter_context(
            use_lm(
                task_lm,
                stage="optimize",
                optimization_id=identity,
                callbacks=[run.recorder],
            )
        )
        stack.enter_context(run.control.guarded(run.budget.check))
        stack.enter_context(orderly_interrupt(run.control.stop))
        stack.callback(wait_for_calls_in_flight, pools)
        yield


def _evaluate_baseline(run: _Run) -> None:
    job = run.job
    job.phase("baseline")
    evaluate = dspy.Evaluate(
        devset=job.valset,
        metric=job.metric,
        num_threads=job.task_lm.params.num_threads,
        max_errors=NEVER_GIVE_UP,
        failure_score=0.0,
    )
    evaluate(job.student)
    results = run.recorder.first_results
    stop_at_floor(run.journal.trials[0], results, job.student, job.metric, run.params)


def _started(run: _Run) -> Started:
    sizes = Sizes(
        predictors=len(run.job.student.predictors()),
        train=len(run.job.trainset),
        val=len(run.job.valset),
    )
    return Started(
        optimizer=run.params.optimizer,
        trials=make_optimizer(run.params).evaluations(sizes),
        resumed=run.journal.n_earlier,
        forecast=run.forecast,
        spent=run.budget.spent,
    )


def _report(run: _Run, best: Best, how: EndedHow, remark: str) -> OptimizationReport:
    spent, seconds = run.budget.spent(), round(run.budget.wall_seconds, 1)
    predictors = best.program.predictors()
    return OptimizationReport(
        optimizer=run.params.optimizer,
        optimization_id=optimization_id(run.fingerprint),
        seed=run.params.seed,
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
