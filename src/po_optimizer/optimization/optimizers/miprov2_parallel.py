"""MIPROv2's calls that DSPy makes one after the other, made in parallel before it.

DSPy bootstraps demos and proposes instructions one call at a time. Here the same calls
are made first, as many at a time as the LM answers. DSPy's own code then finds the
answers about demos in the response cache; instructions it is handed. So the result is
that of a sequential run. Only calls that this is certain to make are made.

References:
    dspy/teleprompt/utils.py (create_n_fewshot_demo_sets), teleprompt/bootstrap.py and
    propose/grounded_proposer.py, DSPy 3.4.1: their draws are repeated here.
"""

import copy
import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import dspy
from dspy.propose import GroundedProposer
from dspy.propose.dataset_summary_generator import create_dataset_summary
from dspy.teleprompt import BootstrapFewShot

from po_optimizer.optimization.background import Begin, Call
from po_optimizer.optimization.job import NEVER_GIVE_UP, Job
from po_optimizer.optimization.optimizers.miprov2_plan import Plan
from po_optimizer.optimization.quiet import PatientExecutor


class CallsAhead:
    """The calls of one job, made as many at a time as its LMs answer.

    Args:
        job: Its LMs say how many calls they answer at a time.
        plan: How many demo sets and instructions, of what kind.
        begin: Has a call made in the background.
    """

    def __init__(self, job: Job, plan: Plan, begin: Begin) -> None:
        self._job = job
        self._plan = plan
        self._begin = begin
        self._summary: Call | None = None
        self._demos: Call | None = None

    def begin_demos(self, rng: random.Random) -> None:
        """Begins to ask for the summary of the data, and for the demos of all sets.

        Args:
            rng: MIPROv2's, before it draws the sets; it is not changed.
        """
        if self._demos is None and self._job.task_lm.num_threads > 1:
            self._begin_summary()
            sets = list(_demo_sets(self._job, self._plan, _copy(rng)))
            self._demos = self._begin(partial(self._attempt_all, sets))

    def wait_for_demos(self, rng: random.Random) -> None:
        """Returns once all demos were asked for; the summary may take longer."""
        self.begin_demos(rng)
        if self._demos is not None:
            self._demos()

    def propose(
        self, rng: random.Random, demo_sets: dict[int, list[list[Any]]]
    ) -> dict[int, list[str]] | None:
        """Asks for all proposed instructions; each takes one call, or three in a row.

        Args:
            rng: MIPROv2's, before it proposes; after it if there are proposals.
            demo_sets: By predictor, as bootstrapped.

        Returns:
            By predictor, its own in the first place; None: DSPy must propose, since
            one call at a time is made, or one failed.
        """
        student = self._job.student
        if self._job.prompt_lm.num_threads == 1:
            return None
        self._begin_summary()
        proposer = _ProposalList(self._job, self._plan, self._summary, _copy(rng))
        noted = proposer.propose_instructions_for_program(
            trainset=self._job.trainset,
            program=student,
            demo_candidates=demo_sets,
            trial_logs={},
            N=self._plan.instructions,
        )
        texts = iter(answers := _call_in_parallel(len(proposer.due), proposer.due))
        if None in answers:
            return None
        rng.setstate(proposer.rng.getstate())
        proposals = {number: [next(texts) for _ in noted[number]] for number in noted}
        for number, predictor in enumerate(student.predictors()):
            proposals[number][0] = predictor.signature.instructions
        return proposals

    def _begin_summary(self) -> None:
        """It is a chain of calls, each of which needs the one before."""
        params = self._plan.params
        if self._summary is None and params.data_aware_proposer:
            with dspy.context(po_first=True):
                self._summary = self._begin(
                    partial(
                        create_dataset_summary,
                        self._job.trainset,
                        params.view_data_batch_size,
                        prompt_model=self._job.prompt_lm,
                    )
                )

    def _attempt_all(self, sets: "list[_DemoSet]") -> None:
        while due := [partial(s.attempt, e) for s in sets for e in s.due()]:
            _call_in_parallel(self._job.task_lm.num_threads, due)


class _DemoSet(BootstrapFewShot):
    """One set, attempted in DSPy's order.

    While n demos are missing, the next n examples will be attempted whatever comes of
    the first of them: those are due.
    """

    def __init__(
        self, student: dspy.Module, trainset: list[dspy.Example], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.trainset = trainset
        self.name2traces: dict[str, list[Any]] = {}
        self._prepare_student_and_teacher(student, None)
        self._prepare_predictor_mappings()
        self._missing = self.max_bootstrapped_demos
        self._left = iter(trainset)

    def due(self) -> list[dspy.Example]:
        """The examples that are attempted next; empty: the set is complete."""
        return list(islice(self._left, self._missing))

    def attempt(self, example: dspy.Example) -> None:
        """DSPy's attempt, on a teacher of its own: DSPy changes it on the way."""
        attempt = copy.copy(self)
        attempt.teacher = self.teacher.deepcopy()
        if attempt._bootstrap_one_example(example):
            with self.error_lock:
                self._missing -= 1


def _demo_sets(job: Job, plan: Plan, rng: random.Random) -> Iterator[_DemoSet]:
    params = plan.params
    labeled = 0 if plan.zeroshot else params.max_labeled_demos
    # without labeled demos DSPy draws a shuffled set in the place of the labeled one
    in_order = 0 if labeled else 1
    for number in range(plan.bootstrapped_sets):
        order, size = list(job.trainset), plan.demos
        if number != in_order:
            rng.shuffle(order)
            size = rng.randint(1, plan.demos)
        yield _DemoSet(
            job.student,
            order,
            metric=job.metric,
            metric_threshold=params.metric_threshold,
            max_bootstrapped_demos=size,
            max_labeled_demos=labeled,
            max_errors=NEVER_GIVE_UP,
        )


class _ProposalList(GroundedProposer):
    """Goes through the proposals with DSPy's draws, and only notes their calls."""

    def __init__(
        self, job: Job, plan: Plan, summary: Call | None, rng: random.Random
    ) -> None:
        self.due: list[Call] = []
        params = plan.params
        super().__init__(
            prompt_model=job.prompt_lm,
            program=job.student,
            trainset=job.trainset,
            program_aware=params.program_aware_proposer,
            use_dataset_summary=False,  # it would be waited for here
            use_task_demos=params.fewshot_aware_proposer,
            use_tip=params.tip_aware_proposer,
            set_tip_randomly=params.tip_aware_proposer,
            use_instruct_history=False,
            set_history_randomly=False,
            rng=rng,
            init_temperature=params.init_temperature,
        )
        if summary is not None:
            self.use_dataset_summary, self.data_summary = True, _Later(summary)

    def propose_instruction_for_predictor(self, **kwargs: Any) -> str:
        """Notes one proposal, as the proposer now is."""
        proposer = copy.copy(self)
        proposer.rng = _copy(self.rng)
        self.rng.randint(0, 10**9)  # the rollout's number, which the copy will draw
        ask = super(_ProposalList, proposer).propose_instruction_for_predictor
        self.due.append(partial(ask, **kwargs))
        return ""


class _Later:
    """A text that is still being made; a prompt that needs it waits for it."""

    def __init__(self, text: Call) -> None:
        self._text = text

    def __str__(self) -> str:
        return str(self._text())


def _call_in_parallel(threads: int, calls: Sequence[Call]) -> list[Any]:
    """Makes the calls; one that raises, None, will raise again where DSPy makes it."""
    executor = PatientExecutor(num_threads=threads, max_errors=NEVER_GIVE_UP)
    return list(executor.execute(lambda call: call(), calls))


def _copy(rng: random.Random) -> random.Random:
    """A copy of the generator, which draws the same numbers."""
    copied = random.Random()  # noqa: S311
    copied.setstate(rng.getstate())
    return copied
