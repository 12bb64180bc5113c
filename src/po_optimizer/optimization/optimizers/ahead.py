"""The next trial's first calls, made while the last ones of a trial are answered."""

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import dspy
from dspy.evaluate.evaluate import EvaluationResult

from po_optimizer.lms import CallScope
from po_optimizer.optimization.optimizers.evaluation import Evaluation

_IDLE = "an idle place of the LM"

NextProgram = Callable[[float, float], dspy.Module | None]
"""What the next trial evaluates if this one scores from .. to ..; None: not certain."""


class AheadEvaluate(Evaluation):
    """An evaluation that leaves no place of the LM idle at its end.

    While its last examples are answered, the program of the next trial is run on its
    last examples, if it is certain which one that will be. The next trial finds those
    answers in the response cache: nothing is asked that a sequential run would not ask,
    and every score is the same.

    Args:
        plain: DSPy's evaluation.
        next_program: Of the trial that follows.
        begin: Has a call made in the background.
    """

    def __init__(
        self,
        plain: dspy.Evaluate,
        next_program: NextProgram,
        begin: Callable[[Callable[[], Any]], Any],
    ) -> None:
        super().__init__(plain)
        self._next_program = next_program
        self._begin = begin

    def evaluate(
        self,
        program: dspy.Module,
        metric: Any,
        examples: list[dspy.Example],
        **more: Any,
    ) -> EvaluationResult:
        """Evaluates, then fills what is idle."""
        trial = _Trial(program, metric, examples, self)
        idle = [dspy.Example(**{_IDLE: 1}).with_inputs(_IDLE)] * (self.num_threads - 1)
        every = self.plain(trial.run, trial.score, [*examples, *idle], **more)
        rows = every.results[: len(examples)]
        score = round(100 * sum(row[-1] for row in rows) / len(rows), 2)
        return EvaluationResult(score=score, results=rows)


class _Trial:
    """A program and its metric as DSPy's evaluation calls them, in many threads."""

    def __init__(
        self,
        program: dspy.Module,
        metric: Any,
        examples: Sequence[dspy.Example],
        evaluation: AheadEvaluate,
    ) -> None:
        self._program = program
        self._metric = metric
        self._n = len(examples)
        self._ahead = reversed(examples)  # the next trial itself begins with the first
        self._evaluation = evaluation
        self._certain: dspy.Module | None = None
        self._scores: list[float] = []
        self._lock = threading.Lock()

    def run(self, **inputs: Any) -> Any:
        """The program's answer; in an idle place, one for the next trial."""
        if _IDLE not in inputs:
            return self._program(**inputs)
        scope = dspy.settings.po_call_scope
        with self._lock:
            program, example = self._certain_program(), next(self._ahead, None)
        # an evaluation that was stopped is no trial any more
        if program is not None and example is not None and scope.meter.trial:
            ahead = replace(scope, trial=-(scope.meter.trial + 1))
            self._evaluation._begin(partial(_run_ahead, program, example, ahead))
        return dspy.Prediction()

    def score(self, example: dspy.Example, prediction: Any) -> Any:
        """The metric's score; of an idle place 0.0, which is left out."""
        if _IDLE in example:
            return 0.0
        score = self._metric(example, prediction)
        with self._lock:
            self._scores.append(float(score))
        return score

    def _certain_program(self) -> dspy.Module | None:
        """The next trial's, once the scores that are missing cannot change it."""
        missing = self._n - len(self._scores)
        if self._certain is None and missing:
            least = sum(self._scores)
            bounds = (round(100 * s / self._n, 2) for s in (least, least + missing))
            self._certain = self._evaluation._next_program(*bounds)
        return self._certain if missing else None


def _run_ahead(program: dspy.Module, example: dspy.Example, scope: CallScope) -> None:
    """Asks for one answer of the next trial; what fails will fail again there."""
    with suppress(Exception), dspy.context(po_call_scope=scope):
        program(**example.inputs())


class Draw:
    """How MIPROv2 drew a trial's program; so the next trial's can be drawn, too.

    Args:
        insert: DSPy's function: it draws, and changes a program accordingly.
        program: The trial's.
        args: What the function was called with: the instructions and demo sets, the
            trial, DSPy's log and its number.
    """

    def __init__(
        self, insert: Callable[..., Any], program: dspy.Module, args: Sequence[Any]
    ) -> None:
        self._insert = insert
        self._program = program
        self._instructions, self._demo_sets, self.trial, _, self._number = args

    def following(self, score: float) -> tuple[dspy.Module, Any]:
        """What is drawn next if the trial scores so; the study is left as it is.

        Returns:
            The next trial's program, and what was chosen for it.
        """
        import optuna  # noqa: PLC0415 -- a second, of which a run's start needs nothing

        study, number = self.trial.study, self._number + 1
        simulated = optuna.create_study(
            direction="maximize", sampler=copy.deepcopy(study.sampler)
        )
        simulated.add_trials([t for t in study.trials if t.state.is_finished()])
        own = (self.trial.params, self.trial.distributions)
        done = optuna.trial.create_trial(
            params=own[0], distributions=own[1], value=score
        )
        simulated.add_trial(done)
        program = self._program.deepcopy()
        logs: dict[int, dict[str, Any]] = {number: {}}
        parts = (self._instructions, self._demo_sets, simulated.ask(), logs, number)
        return program, self._insert(program, *parts)
