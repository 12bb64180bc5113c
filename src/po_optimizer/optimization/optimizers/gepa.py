"""GEPA behind the run control: instructions evolved by reflection on feedback."""

import math

import dspy

from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.guarded_metric import FeedbackMetric
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers.base import (
    CallRange,
    Calls,
    Optimizer,
    Search,
    Sizes,
)
from po_optimizer.params.optimize import GepaParams

_HERE = "optimize.gepa"
_OF_GEPA = {"acceptance_criterion"}
"""Parameters that DSPy hands over to the package `gepa`."""
_AUTO_CANDIDATES = {"light": 6, "medium": 12, "heavy": 18}
_FEEDBACK_TEXT = 1000
_REFLECTION_TEXT = 3000
_ACCEPTED = 0.5
"""Share of proposals that earn a full evaluation, for the likely number only."""


class Gepa(Optimizer):
    """Rewrites instructions from the metric's feedback, keeping a Pareto front.

    Its own `log_dir` is not used: resuming from it gives another result and unpickles
    its state. The response cache resumes it as it does the others.
    """

    packages = ("gepa",)
    _params: GepaParams

    def compile(self, job: Job, search: Search) -> str:
        """Searches until the number of scorings is used up."""
        search.announce("trials")
        optimizer = dspy.GEPA(
            metric=FeedbackMetric(job.metric),
            reflection_lm=job.prompt_lm,
            num_threads=job.task_lm.num_threads,
            seed=self._seed,
            gepa_kwargs=self._params.model_dump(include=_OF_GEPA),
            **self._params.model_dump(exclude=_OF_GEPA),
        )
        optimizer.compile(job.student, trainset=job.trainset, valset=job.valset)
        return ""

    def scorings(self, sizes: Sizes) -> int:
        """Scorings after which it stops; the iteration under way is finished."""
        params = self._params
        if params.auto is not None:
            budget = dspy.GEPA.auto_budget
            candidates = _AUTO_CANDIDATES[params.auto]
            return int(budget(None, sizes.predictors, candidates, sizes.val))
        if params.max_full_evals is not None:
            return params.max_full_evals * (sizes.train + sizes.val)
        return params.max_metric_calls or 0

    def calls(self, sizes: Sizes) -> Calls:
        """Bounds by its count of scorings; at most one reflection an iteration."""
        scorings = self.scorings(sizes)
        batch = min(self._params.reflection_minibatch_size, sizes.train)
        upper = max(scorings, sizes.val) + sizes.val + 2 * batch
        beyond_baseline = max(0, scorings - sizes.val)
        reflections = math.ceil(beyond_baseline / batch) if batch else 0
        return Calls(
            task=sizes.calls(lower=sizes.val, upper=upper),
            prompt=CallRange(lower=0, upper=reflections),
        )

    def evaluations(self, sizes: Sizes) -> int:
        """The likely number; GEPA counts scorings, not trials."""
        batch = min(self._params.reflection_minibatch_size, sizes.train)
        per_iteration = 2 * batch + _ACCEPTED * sizes.val
        beyond_baseline = max(0, self.scorings(sizes) - sizes.val)
        iterations = math.ceil(beyond_baseline / per_iteration)
        return 1 + math.ceil(iterations * (2 + _ACCEPTED))

    def checks(self, sizes: Sizes) -> list[Check]:
        """Exactly one bound is set, and it allows more than the baseline."""
        params = self._params
        bounds = params.model_dump(
            include={"auto", "max_full_evals", "max_metric_calls"}
        )
        n_bounds = sum(value is not None for value in bounds.values())
        least = sizes.val + 2 * params.reflection_minibatch_size
        return [
            check(
                "gepa_bound",
                f"{_HERE}.max_full_evals",
                bounds,
                f"exactly one of the three, and at least {least} scorings: the valset "
                "and one iteration",
                passed=n_bounds == 1 and self.scorings(sizes) >= least,
                remedy="Set one of them and the others to null.",
            ),
            check(
                "gepa_minibatch",
                f"{_HERE}.reflection_minibatch_size",
                params.reflection_minibatch_size,
                f"at most the size of the trainset, {sizes.train}",
                passed=params.reflection_minibatch_size <= sizes.train,
                remedy="Lower it.",
            ),
        ]

    def prompt_lm_characters(
        self, student: dspy.Module, trainset: list[dspy.Example]
    ) -> dict[str, int]:
        """One reflection: the longest minibatch with outputs, and its feedback."""
        lengths = sorted((len(repr(example)) for example in trainset), reverse=True)
        batch = self._params.reflection_minibatch_size
        chars = sum(lengths[:batch]) + batch * _FEEDBACK_TEXT + _REFLECTION_TEXT
        return {f"{_HERE}.reflection_minibatch_size": chars}
