"""What every optimizer is to the run control: one small class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import dspy
from pydantic import BaseModel, ConfigDict

from po_optimizer.lms.check import Check
from po_optimizer.optimization.candidates import CandidateIndex
from po_optimizer.optimization.job import Job
from po_optimizer.params import OptimizeParams

NEVER_GIVE_UP = 10**9
"""DSPy's `max_errors`: a failed example is 0.0; what must stop a run is a StopRun."""


class CallRange(BaseModel):
    """A number of LM calls: lower <= the calls made <= upper.

    An answer that cannot be parsed costs one call more, which no formula counts.
    """

    model_config = ConfigDict(frozen=True)

    lower: int
    upper: int

    def __add__(self, other: "CallRange") -> "CallRange":
        """Both together."""
        return CallRange(lower=self.lower + other.lower, upper=self.upper + other.upper)


class PerRun(BaseModel):
    """LM calls of one run of the program and of scoring it.

    Args:
        least: Of any run.
        most: Of any run.
    """

    model_config = ConfigDict(frozen=True)

    least: int
    most: int

    @classmethod
    def of(cls, calls: Sequence[int]) -> "PerRun":
        """From what some runs made: beyond their extremes by as much as they span."""
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
        """The LM calls of at least and at most so many runs of the program."""
        per_run = self.per_run or PerRun.of([self.predictors])
        return CallRange(lower=lower * per_run.least, upper=upper * per_run.most)


class Calls(BaseModel):
    """LM calls of one optimization, by which LM answers them."""

    model_config = ConfigDict(frozen=True)

    task: CallRange
    prompt: CallRange


class Optimizer(Protocol):
    """An optimizer of DSPy's behind the run control.

    `compile` returns nothing: every candidate passes through DSPy's `Evaluate`, where
    the journal sees it and keeps the best, so that a run that ends early gives its
    result in the same way as one that is completed.
    """

    packages: ClassVar[tuple[str, ...]]
    proposes: ClassVar[bool]
    """Whether the prompt LM is asked for instructions."""

    def __init__(self, params: OptimizeParams) -> None:
        """Takes its own part of the parameters."""

    def compile(
        self, job: Job, candidates: CandidateIndex, announce: Callable[[str], None]
    ) -> str:
        """Searches; gives a remark for the report, or "" if there is none.

        Args:
            job: Its metric gives a Score or stops the run; its valset was chosen.
            candidates: Numbers the instructions and demo sets that it draws from.
            announce: Called with what it is about to do, in a word or two.
        """
        ...

    def choose_valset(self, valset: list[dspy.Example]) -> list[dspy.Example]:
        """The part of the valset that it evaluates on."""
        ...

    def calls(self, sizes: Sizes) -> Calls:
        """Bounds of the LM calls, by formula."""
        ...

    def evaluations(self, sizes: Sizes) -> int:
        """Trials that the journal will hold, the baseline included."""
        ...

    def checks(self, sizes: Sizes) -> list[Check]:
        """Whether its arguments fit each other and the splits."""
        ...

    def max_demos(self) -> int:
        """Most demos in one prompt."""
        ...

    def prompt_lm_characters(
        self, student: dspy.Module, trainset: list[dspy.Example]
    ) -> dict[str, int]:
        """Characters of the longest prompts to the prompt LM, by what decides them."""
        ...
