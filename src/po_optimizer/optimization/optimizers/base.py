"""What every optimizer is to the run control: one small class."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import dspy

from po_optimizer.lms.check import Check
from po_optimizer.optimization.background import Begin, Call
from po_optimizer.optimization.candidates import CandidateIndex
from po_optimizer.optimization.job import Job
from po_optimizer.params.base import Frozen
from po_optimizer.params.optimize import DemoParams, OptimizeParams


class CallRange(Frozen):
    """A number of LM calls: lower <= the calls made <= upper.

    An answer that cannot be parsed costs one call more, which no formula counts.
    """

    lower: int
    upper: int

    def __add__(self, other: "CallRange") -> "CallRange":
        """The sum of both ranges."""
        return CallRange(lower=self.lower + other.lower, upper=self.upper + other.upper)


class PerRun(Frozen):
    """LM calls of one run of the program and of scoring it.

    Args:
        least: Of any run.
        most: Of any run.
    """

    least: int
    most: int

    @classmethod
    def of(cls, calls: Sequence[int]) -> "PerRun":
        """From some runs: their range, extended by its width on both sides."""
        least, most = min(calls), max(calls)
        span = most - least
        return cls(least=max(min(1, least), least - span), most=most + span)


@dataclass(frozen=True)
class Sizes:
    """What the number of LM calls depends on, beside the optimizer's arguments.

    Args:
        predictors: In the program.
        train: Examples in the trainset.
        val: Examples in the valset.
        per_run: LM calls of one run; None: one a predictor.
    """

    predictors: int
    train: int
    val: int
    per_run: PerRun | None = None

    def calls(self, *, lower: int, upper: int) -> CallRange:
        """LM calls for a number of program runs between two bounds."""
        per_run = self.per_run or PerRun.of([self.predictors])
        return CallRange(lower=lower * per_run.least, upper=upper * per_run.most)


class Calls(Frozen):
    """LM calls of one optimization, by which LM answers them."""

    task: CallRange
    prompt: CallRange


@dataclass(frozen=True)
class Search:
    """What an optimizer is given beside its job.

    Args:
        candidates: Numbers the instructions and demo sets that it draws from.
        announce: Called with what it is about to do, in a word or two.
        begin: Has a call made in the background.
        baseline: The student's answers: example, prediction and score of each.
    """

    candidates: CandidateIndex
    announce: Callable[[str], None]
    begin: Begin
    baseline: list[Any]


class Optimizer:
    """Interface of an optimizer: it searches, and says before what that takes.

    `compile` returns no program: every candidate passes through DSPy's `Evaluate`,
    where the journal sees it and keeps the best, so that a run that ends early gives
    its result in the same way as one that is completed.

    Attributes:
        packages: What it imports late.
        proposes: Whether the prompt LM is asked for instructions.

    Args:
        params: Of the optimization; the optimizer's own are in its group.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    proposes: ClassVar[bool] = True
    _params: Any

    def __init__(self, params: OptimizeParams) -> None:
        self._params = getattr(params, params.optimizer)
        self._seed = params.seed

    def compile(self, job: Job, search: Search) -> str:
        """Searches; gives a remark for the report, or "" if there is none.

        Args:
            job: Its metric gives a Score or stops the run; its valset was chosen.
            search: What it is given beside it.
        """
        raise NotImplementedError

    def beside_baseline(self, job: Job, begin: Begin) -> Call | None:
        """A function that begins calls which need no baseline; None: there are none.

        Their answers are kept, so that it finds them when it asks.
        """
        return None

    def choose_valset(self, valset: list[dspy.Example]) -> list[dspy.Example]:
        """The part of the valset on which candidates are scored, drawn by the seed."""
        n = self.n_scored(len(valset))
        if n == len(valset):
            return valset
        return random.Random(self._seed).sample(valset, n)  # noqa: S311

    def n_scored(self, n_val: int) -> int:
        """How many of the valset's examples candidates are scored on."""
        return n_val

    def sizes(self, job: Job) -> Sizes:
        """What the number of LM calls of the job depends on."""
        predictors, val = job.student.predictors(), self.n_scored(len(job.valset))
        return Sizes(len(predictors), len(job.trainset), val)

    def calls(self, sizes: Sizes) -> Calls:
        """Bounds of the LM calls, by formula."""
        raise NotImplementedError

    def evaluations(self, sizes: Sizes) -> int:
        """Trials that the journal will hold, the baseline included."""
        raise NotImplementedError

    def checks(self, sizes: Sizes) -> list[Check]:
        """Whether its arguments fit each other and the splits."""
        raise NotImplementedError

    def max_demos(self) -> int:
        """Most demos in one prompt."""
        params = self._params
        return params.max_demos if isinstance(params, DemoParams) else 0

    def prompt_lm_characters(
        self, student: dspy.Module, trainset: list[dspy.Example]
    ) -> dict[str, int]:
        """Length of the longest prompts to the prompt LM, by the setting at fault."""
        return {}
