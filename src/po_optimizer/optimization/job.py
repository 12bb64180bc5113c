"""What one optimization is made of."""

from dataclasses import dataclass

import dspy

from po_optimizer.lms import MeteredLM
from po_optimizer.params import OptimizeParams
from po_optimizer.roles.metric import Metric


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
