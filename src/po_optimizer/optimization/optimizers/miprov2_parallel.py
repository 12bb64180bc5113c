"""MIPROv2's calls that DSPy makes one after the other, made in parallel before it.

DSPy bootstraps demos and proposes instructions one call at a time. Here the same calls
are made first, as many at a time as the LM answers. Then DSPy's own code runs unchanged
and finds the answers in the response cache, so that its result is that of a sequential
run. Only calls that the sequential run is certain to make are made.

References:
    dspy/teleprompt/utils.py (create_n_fewshot_demo_sets), teleprompt/bootstrap.py and
    propose/grounded_proposer.py, DSPy 3.4.1: their draws are repeated here.
"""

import copy
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import Any

import dspy
from dspy.propose import GroundedProposer
from dspy.propose.dataset_summary_generator import create_dataset_summary
from dspy.teleprompt import BootstrapFewShot
from dspy.utils.callback import BaseCallback

from po_optimizer.optimization.job import NEVER_GIVE_UP, Job
from po_optimizer.optimization.optimizers.miprov2_plan import Plan
from po_optimizer.optimization.quiet import PatientExecutor

Call = Callable[[], Any]


def bootstrap_in_parallel(job: Job, plan: Plan, rng: random.Random) -> None:
    """Asks for the demos of all sets, and meanwhile for the summary of the data.

    Args:
        job: Its LMs say how many calls they answer at a time.
        plan: How many sets, of how many demos.
        rng: MIPROv2's, before it draws the sets; it is not changed.
    """
    threads = job.task_lm.num_threads
    if threads == 1:
        return
    sets = list(_demo_sets(job, plan, _copy(rng)))

    def attempt_all() -> None:
        while due := [partial(s.attempt, e) for s in sets for e in s.due()]:
            _call_in_parallel(threads, due)

    with _places(threads):
        calls = _summary(job, plan)
        _call_in_parallel(2, [*calls, attempt_all])


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


def _summary(job: Job, plan: Plan) -> list[Call]:
    """The data summary's calls: one follows from the other, but not from the demos."""
    if not plan.params.data_aware_proposer:
        return []
    batch = plan.params.view_data_batch_size
    lm = job.prompt_lm
    return [partial(create_dataset_summary, job.trainset, batch, prompt_model=lm)]


def propose_in_parallel(
    job: Job, plan: Plan, rng: random.Random, demo_sets: dict[int, list[list[Any]]]
) -> None:
    """Asks for all proposed instructions; each takes one call, or three in a row.

    Args:
        job: Its LMs say how many calls they answer at a time.
        plan: How many instructions, of what kind.
        rng: MIPROv2's, before it proposes; it is not changed.
        demo_sets: By predictor, as bootstrapped.
    """
    params, threads = plan.params, job.prompt_lm.num_threads
    if threads == 1:
        return
    proposer = _ProposalList(
        prompt_model=job.prompt_lm,
        program=job.student,
        trainset=job.trainset,
        view_data_batch_size=params.view_data_batch_size,
        program_aware=params.program_aware_proposer,
        use_dataset_summary=params.data_aware_proposer,
        use_task_demos=params.fewshot_aware_proposer,
        use_tip=params.tip_aware_proposer,
        set_tip_randomly=params.tip_aware_proposer,
        use_instruct_history=False,
        set_history_randomly=False,
        rng=_copy(rng),
        init_temperature=params.init_temperature,
    )
    proposer.propose_instructions_for_program(
        trainset=job.trainset,
        program=job.student,
        demo_candidates=demo_sets,
        trial_logs={},
        N=plan.instructions,
    )
    with _places(threads):
        _call_in_parallel(len(proposer.due), proposer.due)


class _ProposalList(GroundedProposer):
    """Goes through the proposals with DSPy's draws, and only notes their calls."""

    def __init__(self, **kwargs: Any) -> None:
        self.due: list[Call] = []
        super().__init__(**kwargs)

    def propose_instruction_for_predictor(self, **kwargs: Any) -> str:
        """Notes one proposal, as the proposer now is."""
        proposer = copy.copy(self)
        proposer.rng = _copy(self.rng)
        self.rng.randint(0, 10**9)  # the rollout's number, which the copy will draw
        ask = super(_ProposalList, proposer).propose_instruction_for_predictor
        self.due.append(partial(ask, **kwargs))
        return ""


class _Places(BaseCallback):
    """Lets so many LM calls be made at a time; the threads may be more.

    Chains of calls that are begun together end together: no place is idle while the
    last chains are made one call after the other. Calls of a context with `po_first`
    come before others that wait: a chain takes longest.
    """

    def __init__(self, places: int) -> None:
        self._n_free = places
        self._n_first = 0
        self._changed = threading.Condition()

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Waits for a free place."""
        first = bool(dspy.settings.get("po_first", False))
        with self._changed:
            self._n_first += first
            self._changed.wait_for(
                lambda: self._n_free > 0 and (first or not self._n_first)
            )
            self._n_first -= first
            self._n_free -= 1

    def on_lm_end(
        self, call_id: str, outputs: Any, exception: Exception | None = None
    ) -> None:
        """Leaves the place to another call."""
        with self._changed:
            self._n_free += 1
            self._changed.notify_all()


def _places(places: int) -> Any:
    """Within the block so many LM calls are made at a time."""
    callbacks = [*dspy.settings.get("callbacks", []), _Places(places)]
    return dspy.context(callbacks=callbacks)


@contextmanager
def in_background(threads: int) -> Iterator[Callable[[Call], Future[Any]]]:
    """Within the block calls can be begun; with all others so many are made at a time.

    Those that wait at its end are not begun, the others are waited for.
    """
    pool = ThreadPoolExecutor(threads)

    def begin(call: Call) -> Future[Any]:
        return pool.submit(copy_context().run, call)

    with _places(threads):
        try:
            yield begin
        finally:
            pool.shutdown(cancel_futures=True)


def _call_in_parallel(threads: int, calls: Sequence[Call]) -> None:
    """Makes the calls; one that raises will raise again where DSPy makes it."""
    executor = PatientExecutor(num_threads=threads, max_errors=NEVER_GIVE_UP)
    executor.execute(lambda call: call(), calls)


def _copy(rng: random.Random) -> random.Random:
    """Another generator that draws the same."""
    copied = random.Random()  # noqa: S311
    copied.setstate(rng.getstate())
    return copied
