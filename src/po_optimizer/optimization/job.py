"""What one optimization is made of."""

from dataclasses import dataclass
from typing import Any

import dspy

from po_optimizer.lms.lm import MeteredLM
from po_optimizer.params.optimize import OptimizeParams
from po_optimizer.roles.metric import Metric

NEVER_GIVE_UP = 10**9
"""DSPy's `max_errors`: a failed example is 0.0; what must stop a run is a StopRun."""


@dataclass(frozen=True)
class Job:
    """The student, the examples, the metric, the LMs and the parameters.

    Args:
        student: What is optimized; nothing here changes it.
        trainset: Demos are bootstrapped from it; inputs are marked.
        valset: Candidates are chosen on it; disjoint from the trainset.
        metric: `(example, prediction) -> score`, any callable that DSPy takes.
        task_lm: Runs the program.
        prompt_lm: Writes instructions; may be the task LM.
        params: The optimizer, its arguments, the seed and the budget.
    """

    student: dspy.Module
    trainset: list[dspy.Example]
    valset: list[dspy.Example]
    metric: Metric
    task_lm: MeteredLM
    prompt_lm: MeteredLM
    params: OptimizeParams

    @property
    def lms(self) -> tuple[MeteredLM, MeteredLM]:
        """The task LM and the prompt LM, which may be one."""
        return self.task_lm, self.prompt_lm

    def evaluate(self, program: dspy.Module) -> list[Any]:
        """DSPy's evaluation on the valset: example, prediction and score of each.

        It runs a copy: what a run leaves in the program, as answers that it remembers,
        would be in all candidates.
        """
        evaluation = dspy.Evaluate(
            devset=self.valset,
            metric=self.metric,
            num_threads=self.task_lm.num_threads,
            max_errors=NEVER_GIVE_UP,
            failure_score=0.0,
        )(program.deepcopy())
        return list(evaluation.results)
