"""MIPROv2 behind the run control."""

import random
from contextlib import ExitStack
from functools import partial
from logging import getLogger
from typing import Any
from unittest.mock import patch

import dspy
from dspy.propose import grounded_proposer
from dspy.propose.utils import get_dspy_source_code
from dspy.teleprompt import MIPROv2

from po_optimizer.lms.check import Check
from po_optimizer.optimization.background import Begin, Call
from po_optimizer.optimization.candidates import demos_key
from po_optimizer.optimization.job import NEVER_GIVE_UP, Job
from po_optimizer.optimization.optimizers.base import (
    Calls,
    Optimizer,
    Search,
    Sizes,
)
from po_optimizer.optimization.optimizers.miprov2_parallel import CallsAhead
from po_optimizer.optimization.optimizers.miprov2_plan import (
    AUTO,
    Plan,
    check_arguments,
    make_plan,
)
from po_optimizer.optimization.optimizers.racing import BLOCK, Candidate, RacingEvaluate
from po_optimizer.params.optimize import Miprov2Params

logger = getLogger(__name__)

_NO_SOURCE = (OSError, TypeError, LookupError, SyntaxError)
_DEMOS_SHOWN = 3
_PROPOSER_TEXT = 3000
"""Characters of the proposer's own instructions and of what it summarized before."""
_EXHAUSTED = "No valid program found"
_LOOKS = 2
"""Of a race, for each trial that DSPy's search would have."""
_OF_THE_OPTIMIZER = {
    "max_bootstrapped_demos",
    "max_labeled_demos",
    "auto",
    "num_candidates",
    "init_temperature",
    "metric_threshold",
}
"""Parameters that MIPROv2 takes when it is made; `compile` takes the others."""


class ObservedMIPROv2(MIPROv2):
    """MIPROv2 that names its candidates and announces its steps.

    DSPy gives the numbers of the chosen instruction and demo set only with the final
    program; a run that is stopped would not know them.
    """

    def __init__(
        self,
        plan: Plan,
        search: Search,
        ahead: CallsAhead,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._plan = plan
        self._search = search
        self._ahead = ahead
        self.remark = ""

    def _bootstrap_fewshot_examples(self, *args: Any, **kwargs: Any) -> Any:
        self._search.announce("bootstrap demos")
        self._ahead.wait_for_demos(self.rng)
        demo_sets = super()._bootstrap_fewshot_examples(*args, **kwargs)
        for predictor, sets in (demo_sets or {}).items():
            self._search.candidates.name_demo_sets(predictor, sets)
        return demo_sets

    def _propose_instructions(
        self, program: Any, trainset: Any, demo_sets: Any, *args: Any, **kwargs: Any
    ) -> Any:
        self._search.announce("propose instructions")
        ask = super()._propose_instructions
        proposals = self._ahead.propose(self.rng, demo_sets) or ask(
            program, trainset, demo_sets, *args, **kwargs
        )
        for predictor, instructions in proposals.items():
            self._search.candidates.name_instructions(predictor, instructions)
        self._search.announce("trials")
        return proposals

    def _optimize_prompt_parameters(
        self,
        program: Any,
        instructions: Any,
        demo_sets: Any,
        evaluate: dspy.Evaluate,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if self._plan.params.races:
            self.remark = self._race(program, instructions, demo_sets, evaluate)
            return program
        return super()._optimize_prompt_parameters(
            program, instructions, demo_sets, evaluate, *args, **kwargs
        )

    def _race(
        self,
        program: dspy.Module,
        instructions: dict[int, list[str]],
        demo_sets: dict[int, list[list[Any]]] | None,
        evaluate: dspy.Evaluate,
    ) -> str:
        """Tries candidates by racing; says how far they came."""
        predictors = range(len(program.predictors()))
        sets = demo_sets or {number: [[]] for number in predictors}
        choices = [  # what was proposed twice is one
            [place for place, value in enumerate(values) if value not in values[:place]]
            for number in predictors
            for values in (instructions[number], [*map(demos_key, sets[number])])
        ]

        def program_of(candidate: Candidate) -> dspy.Module:
            changed = program.deepcopy()
            pairs = zip(candidate[::2], candidate[1::2], strict=True)
            for number, (instruction, demo_set) in enumerate(pairs):
                predictor = changed.predictors()[number]
                text = instructions[number][instruction]
                predictor.signature = predictor.signature.with_instructions(text)
                if demo_sets:
                    predictor.demos = demo_sets[number][demo_set]
            return changed

        bound = self._plan.trials * len(evaluate.devset)
        racing = RacingEvaluate(evaluate, self._search, self.seed)
        return racing.race(choices, program_of, bound, self.seed)


def _source_code(program: dspy.Module) -> str:
    """The program as the prompt LM is shown it.

    DSPy 3.4.1 finds a signature's name in what pydantic keeps of the place where it
    was made, and fails under Python 3.14, where that is nothing.

    Raises:
        OSError, TypeError, LookupError, SyntaxError: There is no source code to read.
    """
    kept = "__pydantic_parent_namespace__"
    with ExitStack() as stack:
        for _, predictor in program.named_sub_modules(dspy.Predict):
            signature = predictor.signature
            if getattr(signature, kept) is None:
                name = {"signature_name": signature.__name__}
                stack.enter_context(patch.object(signature, kept, name))
        return str(get_dspy_source_code(program))


class Miprov2(Optimizer):
    """Chooses among proposed instructions and bootstrapped demo sets."""

    packages = ("optuna",)
    _params: Miprov2Params
    _ahead: CallsAhead | None = None

    def compile(self, job: Job, search: Search) -> str:
        """Searches; if all candidates were tried, the search just ends."""
        params, plan = self._params, make_plan(self._params, self.sizes(job))
        if params.races:  # it has other numbers for `auto` than DSPy
            numbers = {"num_candidates": plan.demo_sets, "num_trials": plan.trials}
            params = params.model_copy(update={"auto": None, **numbers})
        optimizer = ObservedMIPROv2(
            plan,
            search,
            self._ahead or CallsAhead(job, plan, search.begin),
            metric=job.metric,
            prompt_model=job.prompt_lm,
            task_model=job.task_lm,
            num_threads=job.task_lm.num_threads,
            max_errors=NEVER_GIVE_UP,
            seed=self._seed,
            **params.model_dump(include=_OF_THE_OPTIMIZER),
        )
        arguments = params.model_dump(exclude={*_OF_THE_OPTIMIZER, "racing"})
        source = patch.object(grounded_proposer, "get_dspy_source_code", _source_code)
        try:
            with source:
                optimizer.compile(
                    job.student, trainset=job.trainset, valset=job.valset, **arguments
                )
        except ValueError as error:
            # raised when every tried combination has had its full evaluation
            if _EXHAUSTED not in str(error):
                raise
            return "ended early: every distinct candidate had been evaluated"
        return optimizer.remark

    def beside_baseline(self, job: Job, begin: Begin) -> Call | None:
        """Begins the demos' calls; not with a budget, which they could use up first."""
        bounded = any(job.params.budget.model_dump().values())
        shuffled = self._params.auto is not None and not self._params.races
        if bounded or shuffled or job.task_lm.num_threads == 1:
            return None
        rng = random.Random(self._seed)  # noqa: S311 -- as MIPROv2 begins
        self._ahead = CallsAhead(job, make_plan(self._params, self.sizes(job)), begin)
        return partial(self._ahead.begin_demos, rng)

    def n_scored(self, n_val: int) -> int:
        """All of them, or the sample that `auto` uses."""
        if self._params.auto is None:
            return n_val
        return min(
            n_val, AUTO[self._params.auto][1] // (2 if self._params.races else 1)
        )

    def calls(self, sizes: Sizes) -> Calls:
        """Bounds of the LM calls, by formula."""
        plan = make_plan(self._params, sizes)
        return Calls(task=plan.task_calls, prompt=plan.prompt_calls)

    def evaluations(self, sizes: Sizes) -> int:
        """The baseline, each trial, and the full evaluations of minibatch mode.

        Of a race it is the likely number: a candidate is looked at several times.
        """
        plan = make_plan(self._params, sizes)
        if self._params.races and sizes.val > BLOCK:
            return 1 + _LOOKS * plan.trials
        return 1 + plan.trials + (plan.full_evals if plan.minibatch else 0)

    def checks(self, sizes: Sizes) -> list[Check]:
        """Finds conflicts of arguments that DSPy notices only after paid calls."""
        return check_arguments(self._params, sizes)

    def prompt_lm_characters(
        self, student: dspy.Module, trainset: list[dspy.Example]
    ) -> dict[str, int]:
        """The data summary's batch, and the proposal with code and three demos."""
        lengths = sorted((len(repr(example)) for example in trainset), reverse=True)
        try:
            code = len(_source_code(student))
        except _NO_SOURCE as error:  # DSPy then proposes without it
            logger.warning("instructions are proposed without the program: %s", error)
            code = 0
        longest: dict[str, int] = {}
        if self._params.data_aware_proposer:
            batch = sum(lengths[: self._params.view_data_batch_size])
            longest["optimize.miprov2.view_data_batch_size"] = batch + _PROPOSER_TEXT
        if self._params.program_aware_proposer or self._params.fewshot_aware_proposer:
            demos = sum(lengths[:_DEMOS_SHOWN])
            longest["optimize.miprov2.fewshot_aware_proposer"] = (
                code * self._params.program_aware_proposer
                + demos * self._params.fewshot_aware_proposer
                + _PROPOSER_TEXT
            )
        return longest
