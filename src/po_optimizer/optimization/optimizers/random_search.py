"""BootstrapFewShotWithRandomSearch behind the run control."""

import random

from dspy.teleprompt import BootstrapFewShotWithRandomSearch

from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.job import NEVER_GIVE_UP, Job
from po_optimizer.optimization.optimizers.base import (
    CallRange,
    Calls,
    Optimizer,
    Search,
    Sizes,
)
from po_optimizer.params.optimize import BootstrapRandomSearchParams

_HERE = "optimize.bootstrap_random_search"
_FIXED_CANDIDATES = 3


class BootstrapRandomSearch(Optimizer):
    """Tries demo sets: none, labeled only, bootstrapped in order, then shuffled.

    DSPy's class takes no seed (its candidates are its seeds); the seed of the
    optimization shuffles the trainset instead.
    """

    proposes = False
    _params: BootstrapRandomSearchParams

    def compile(self, job: Job, search: Search) -> str:
        """Searches over all candidates, or up to `stop_at_score`."""
        search.announce("trials")
        params = self._params
        stop_at = params.stop_at_score
        optimizer = BootstrapFewShotWithRandomSearch(
            metric=job.metric,
            **params.model_dump(exclude={"stop_at_score"}),
            num_threads=job.task_lm.num_threads,
            max_errors=NEVER_GIVE_UP,
            # DSPy compares percentages
            stop_at_score=None if stop_at is None else stop_at * 100,
        )
        trainset = list(job.trainset)
        random.Random(self._seed).shuffle(trainset)  # noqa: S311
        optimizer.compile(job.student, trainset=trainset, valset=job.valset)
        return ""

    def calls(self, sizes: Sizes) -> Calls:
        """Evaluations of distinct candidates, and attempts to bootstrap."""
        params = self._params
        sets = params.num_candidate_programs + 1
        candidates = params.num_candidate_programs + _FIXED_CANDIDATES
        upper = candidates * sizes.val + sets * sizes.train * params.max_rounds
        return Calls(
            task=sizes.calls(lower=sizes.val, upper=upper),
            prompt=CallRange(lower=0, upper=0),
        )

    def evaluations(self, sizes: Sizes) -> int:
        """One per candidate, the one without demos being the baseline."""
        return self._params.num_candidate_programs + _FIXED_CANDIDATES

    def checks(self, sizes: Sizes) -> list[Check]:
        """Demo numbers that DSPy can draw from the trainset."""
        bootstrapped = self._params.max_bootstrapped_demos
        labeled = self._params.max_labeled_demos
        return [
            check(
                "bootstrap_random_search_demos",
                f"{_HERE}.max_bootstrapped_demos",
                {"max_bootstrapped_demos": bootstrapped, "max_labeled_demos": labeled},
                "1 or more bootstrapped demos, and neither number above the size of "
                f"the trainset, {sizes.train}",
                passed=bootstrapped >= 1 and self.max_demos() <= sizes.train,
                remedy="Change one of the two.",
            )
        ]
