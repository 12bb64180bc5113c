"""What one optimization is made of, before anything is done with it."""

from dataclasses import dataclass

import dspy

from po_optimizer.lms import MeteredLM
from po_optimizer.optimization.optimizers import Sizes, make_optimizer
from po_optimizer.params import OptimizeParams
from po_optimizer.roles.metric import Metric


@dataclass(frozen=True)
class Setup:
    """The student, the examples, the metric, the LMs and the parameters."""

    student: dspy.Module
    trainset: list[dspy.Example]
    valset: list[dspy.Example]
    metric: Metric
    task_lm: MeteredLM
    prompt_lm: MeteredLM
    params: OptimizeParams

    def sizes(self) -> Sizes:
        """What the number of LM calls depends on."""
        return Sizes(
            predictors=len(self.student.predictors()),
            train=len(self.trainset),
            val=len(make_optimizer(self.params).choose_valset(self.valset)),
        )
