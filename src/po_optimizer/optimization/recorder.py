"""Watches DSPy's evaluations: journal, best program so far, progress, stops."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from po_optimizer.errors import PoOptimizerError, refusal
from po_optimizer.lms.interrupt import Control
from po_optimizer.lms.stops import WriteFailed
from po_optimizer.optimization.budget import Budget
from po_optimizer.optimization.candidates import (
    CandidateIndex,
    candidate_key,
    with_prompts_of,
)
from po_optimizer.optimization.guarded_metric import is_failed
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.journal import Journal, Kind, Prompt, Trial
from po_optimizer.optimization.report import Scored

SaveBest = Callable[[dspy.Module, Trial], None]
"""Stores a program that scored higher than all before, with its trial."""


@dataclass(frozen=True)
class Best:
    """The best program so far on the whole valset."""

    program: dspy.Module
    trial: Trial


@dataclass(frozen=True)
class _Running:
    program: dspy.Module
    key: str
    kind: Kind
    n: int
    clock: float


class Recorder(BaseCallback):
    """DSPy's callback around every evaluation of one optimization.

    DSPy logs an Exception in a callback and goes on; a StopRun passes, which is how
    an ended run ends although its remaining answers are all cached.

    Args:
        job: Every candidate is a copy of its student; its valset is what a full
            evaluation covers.
        journal: Takes the trials.
        control: Says whether the run was stopped.
        budget: Counts the calls of a trial.
        save_best: Stores a program that beats all before; None: it is not stored.
        on_trial: Called with each trial.
    """

    def __init__(
        self,
        job: Job,
        *,
        journal: Journal,
        control: Control,
        budget: Budget,
        save_best: SaveBest | None,
        on_trial: Callable[[Scored], None],
    ) -> None:
        self.best: Best | None = None
        self.journal = journal
        self.control = control
        self.budget = budget
        self.candidates = CandidateIndex(job.student)
        self._student = job.student
        self._valset_ids = sorted(map(id, job.valset))
        self._save_best = save_best
        self._on_trial = on_trial
        self._running: dict[str, _Running] = {}
        self._baseline_key: str | None = None
        self._own_baseline_passed = False
        self._lock = threading.Lock()

    def on_evaluate_start(
        self, call_id: str, instance: Any, inputs: dict[str, Any]
    ) -> None:
        """Begins a trial, or ends the run if it was stopped."""
        self.control.check()
        program, examples = inputs["program"], inputs.get("devset") or instance.devset
        whole = sorted(map(id, examples)) == self._valset_ids
        with self._lock:
            number = len(self.journal.trials) + 1
            self.control.begin_trial(number)
            self._running[call_id] = _Running(
                program=program,
                key=candidate_key(program),
                kind="full_eval" if whole else "minibatch",
                n=len(examples),
                clock=time.perf_counter(),
            )

    def on_evaluate_end(
        self, call_id: str, outputs: Any, exception: BaseException | None = None
    ) -> None:
        """Records the trial, unless it was broken off."""
        running = self._running.pop(call_id, None)
        if running is None:
            return
        self.control.begin_trial(None)
        if outputs is None or self.control.stopped() is not None:
            # a stop or a second Ctrl-C is on its way already: nothing replaces it
            if exception is None or isinstance(exception, Exception):
                self.control.check()
            return
        try:
            with self._lock:
                self._record(running, outputs)
        except Exception as error:
            path = str(self.journal.path)
            failed = WriteFailed(
                "the journal or the best program beside", path, self._describe(error)
            )
            self.control.stop(failed)
            raise failed from error

    def _describe(self, error: Exception) -> str:
        if isinstance(error, OSError):
            return f"{error.filename or self.journal.path}: {refusal(error)}"
        if isinstance(error, PoOptimizerError):
            return str(error).rstrip(". ")
        return f"{type(error).__name__}: {error}"

    @property
    def _best_score(self) -> float:
        """The best program's score; -1.0 while there is none."""
        return self.best.trial.score if self.best else -1.0

    def _record(self, running: _Running, outputs: Any) -> None:
        if self._is_repeated_baseline(running):
            return
        if getattr(outputs, "reason", ""):
            running = replace(running, kind="raced")
        trial = self._trial(running, outputs)
        is_best = running.kind == "full_eval" and trial.score > self._best_score
        # a resumed run replays its first steps: what is stored already is better
        improves = is_best and trial.best >= self.journal.best_earlier
        program = with_prompts_of(running.program, self._student) if is_best else None
        if program is not None and improves and self._save_best is not None:
            self._save_best(program, trial)
        recorded = self.journal.add(trial)
        replayed = recorded is not trial
        if program is not None:
            self.best = Best(program, recorded)
        self._on_trial(Scored(recorded, replayed, outputs.results))

    def _is_repeated_baseline(self, running: _Running) -> bool:
        """Whether the optimizer evaluates the student again, which is no new trial.

        Only their first evaluation is meant: a later trial may draw it again.
        """
        if self._baseline_key is None or self._own_baseline_passed:
            return False
        self._own_baseline_passed = True
        return running.kind == "full_eval" and running.key == self._baseline_key

    def _trial(self, running: _Running, outputs: Any) -> Trial:
        kind = running.kind
        if self._baseline_key is None:
            kind, self._baseline_key = "baseline", running.key
        score = round(float(outputs.score) / 100, 4)
        instruction, demo_set = self.candidates.describe(running.program)
        number = len(self.journal.trials) + 1
        earlier = [(t.instruction, t.demo_set) for t in self.journal.trials]
        is_repeated = (instruction, demo_set) in earlier
        # what an earlier run of this optimization paid for counts as paid here too,
        # so that a resumed journal equals an uninterrupted one; negative: asked ahead
        spent, run_id = self.budget.spent, self.control.meters[0].run_id
        paid = sum(spent(trial=n).paid for n in (number, -number))
        cached = sum(spent(trial=n, run_id=run_id).cached for n in (number, -number))
        return Trial(
            trial=number,
            kind=kind,
            instruction=instruction,
            demo_set=demo_set,
            score=score,
            n=running.n,
            n_failed=sum(is_failed(result[-1]) for result in outputs.results),
            best=max(score, self._best_score)
            if running.kind == "full_eval"
            else self._best_score,
            calls_paid=paid,
            calls_cached=cached,
            seconds=round(time.perf_counter() - running.clock, 3),
            reason=getattr(outputs, "reason", ""),
            prompts=[]
            if is_repeated
            else list(map(Prompt.of, running.program.predictors())),
        )
