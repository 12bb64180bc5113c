"""One optimization, from the baseline to the best program found."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import dspy

from po_optimizer.errors import (
    ExecutionStopError,
    InterruptedRunError,
    PoOptimizerError,
)
from po_optimizer.lms.interrupt import Control, orderly_interrupt
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.meter import OUTSIDE_TRIALS
from po_optimizer.lms.stops import BudgetReached, Interrupted, StopRun
from po_optimizer.optimization import steering
from po_optimizer.optimization.background import Begin, in_background
from po_optimizer.optimization.budget import Budget
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.optimization.guarded_metric import (
    FloorWatch,
    GuardedMetric,
    stop_at_floor,
)
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.journal import open_journal, sole_run
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.optimizers.base import Optimizer, Search
from po_optimizer.optimization.quiet import quiet_dspy
from po_optimizer.optimization.recorder import Recorder, SaveBest
from po_optimizer.optimization.report import (
    Ended,
    EndedHow,
    Event,
    OptimizationReport,
    OptimizationResult,
    Phase,
    Progress,
    Started,
    log_event,
    publish,
)
from po_optimizer.optimization.run_identity import optimization_id, run_fingerprint


def optimize(
    job: Job,
    *,
    workspace: Path,
    save_best: SaveBest | None = None,
    progress: Progress = log_event,
    forecast: Forecast | None = None,
) -> OptimizationResult:
    """The best program on the valset that the chosen optimizer finds.

    The same call after a kill, a lost LM or an interruption continues, and its result
    equals that of an uninterrupted run. A budget that is reached and a first Ctrl-C
    end the search in order, with the best program so far.

    Args:
        job: What is optimized, on what, by what; its student is not changed.
        workspace: Folder of the journal, `trials.jsonl`, and of what is needed to
            resume; one for each optimization.
        save_best: Called with each program that beats all before on the whole valset,
            and with its trial; None: only the result has it.
        progress: Called with each event.
        forecast: Of this optimization, for the comparison in the report.

    Raises:
        PoOptimizerError: The data, code or settings changed, another process makes
            this run, hardly an output is usable, the metric gave no score, the
            optimizer failed, the LM stayed unreachable or the disk refused; an
            ExecutionStopError or InterruptedRunError if it ended before the baseline
            was evaluated.
    """

    def announce(event: Event) -> None:
        progress(event)
        publish(event)

    path = workspace / "trials.jsonl"
    with sole_run(path):
        journal = open_journal(path, run_fingerprint(job), job.params.on_change)
        control, optimizer = Control(*job.lms), make_optimizer(job.params)
        identity = optimization_id(journal.fingerprint)
        budget = Budget(job.params.budget, job.lms, identity)
        chosen = replace(
            job,
            valset=optimizer.choose_valset(job.valset),
            metric=GuardedMetric(job.metric, control.check, control.stop),
        )
        recorder = Recorder(
            chosen,
            journal=journal,
            control=control,
            budget=budget,
            save_best=save_best,
            on_trial=announce,
        )
        announce(
            Started(
                optimizer=job.params.optimizer,
                trials=optimizer.evaluations(optimizer.sizes(chosen)),
                resumed=journal.n_earlier,
                forecast=forecast,
                spent=budget.spent,
                fingerprint=journal.fingerprint,
            )
        )
        clock = time.monotonic()
        ended: EndedHow | Literal["failed"] = "failed"
        try:
            remark, ended = _search(chosen, optimizer, recorder, announce)
        finally:
            score = recorder.best.trial.score if recorder.best else None
            announce(Ended(ended, score, time.monotonic() - clock))
        if ended == "completed":
            journal.complete()
        return _result(job, recorder, how=ended, remark=remark, forecast=forecast)


def _search(
    job: Job, optimizer: Optimizer, recorder: Recorder, progress: Progress
) -> tuple[str, EndedHow]:
    """Why the search ended, as a sentence and as a word."""
    control, workspace = recorder.control, recorder.journal.path.parent
    (workspace / steering.FILE).unlink(missing_ok=True)  # of an earlier run
    steer = partial(steering.follow_requests, workspace, recorder.budget, control.check)
    with (
        quiet_dspy(),
        use_lm(
            job.task_lm,
            stage="optimize",
            optimization_id=recorder.budget.optimization_id,
            callbacks=[recorder],
        ),
        control.guarded(steer),
        control.guarded(recorder.budget.check),
        orderly_interrupt(control.stop),
    ):
        try:
            places = max(lm.num_threads for lm in job.lms)
            with control.raising_stops(), in_background(places) as begin:
                progress(Phase("baseline"))
                results = _evaluate_baseline(job, optimizer, begin)
                stop_at_floor(job, recorder.journal.trials[0], results)
                search = Search(
                    candidates=recorder.candidates,
                    announce=lambda phase: progress(Phase(phase)),
                    begin=begin,
                    baseline=results,
                )
                return optimizer.compile(job, search), "completed"
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
            raise PoOptimizerError(
                f"optimize.optimizer={job.params.optimizer!r} failed: {problem}. "
                "The best program so far and every LM answer are kept: correct the "
                "cause, then the same command resumes."
            ) from error
        finally:
            control.wait_until_idle()


def _evaluate_baseline(
    job: Job, optimizer: Optimizer, begin: Begin
) -> list[tuple[dspy.Example, object, object]]:
    """The student's answers; beside them, what the optimizer needs in any case."""
    begin_calls = optimizer.beside_baseline(job, begin)
    if begin_calls is None:
        return job.evaluate(job.student)
    outside = replace(dspy.settings.po_call_scope, trial=OUTSIDE_TRIALS)

    def begin_outside() -> None:
        with dspy.context(po_call_scope=outside):
            begin_calls()

    watched = replace(job, metric=FloorWatch(job, begin_outside))
    return watched.evaluate(job.student)


def _result(
    job: Job,
    recorder: Recorder,
    *,
    how: EndedHow,
    remark: str,
    forecast: Forecast | None,
) -> OptimizationResult:
    best, journal, budget = recorder.best, recorder.journal, recorder.budget
    if best is None:
        msg = f"{remark} The baseline was not evaluated, so there is no program yet."
        stop = InterruptedRunError if how == "interrupted" else ExecutionStopError
        raise stop(msg)
    predictors = best.program.predictors()
    report = OptimizationReport(
        optimizer=job.params.optimizer,
        optimization_id=budget.optimization_id,
        seed=job.params.seed,
        ended=how,
        reason=remark,
        baseline=journal.trials[0],
        best=best.trial,
        instructions=[p.signature.instructions for p in predictors],
        n_demos=[len(p.demos) for p in predictors],
        n_trials=len(journal.trials),
        seconds=round(budget.wall_seconds, 1),
        spent=budget.spent(),
        forecast=forecast,
        fingerprint=journal.fingerprint,
    )
    return OptimizationResult(best.program, report, list(journal.trials))
