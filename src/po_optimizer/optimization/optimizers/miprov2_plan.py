"""What MIPROv2 will do with given arguments, worked out before the first call.

References:
    dspy/teleprompt/mipro_optimizer_v2.py and teleprompt/utils.py, DSPy 3.4.1.
"""

import math
from dataclasses import dataclass

from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.optimizers.base import CallRange, Sizes
from po_optimizer.params.optimize import Miprov2Params

AUTO = {"light": (6, 100), "medium": (12, 300), "heavy": (18, 1000)}
"""Per mode of `auto`: number of candidates, largest valset; a race needs half of it."""
_AUTO_MINIBATCH_FROM = 50
_ZEROSHOT_DEMOS = 3
_SUMMARY_BATCHES = 9
_COMPLETE_AFTER = 5
_HERE = "optimize.miprov2"


@dataclass(frozen=True)
class Plan:
    """MIPROv2's numbers with `auto` resolved.

    Args:
        instructions: Instruction candidates per predictor, the student's included.
        demo_sets: Demo set candidates per predictor, the empty one included.
        trials: Candidates drawn after the baseline.
        demos: Bootstrapped demos wanted per set.
    """

    params: Miprov2Params
    sizes: Sizes
    instructions: int
    demo_sets: int
    trials: int
    minibatch: bool
    demos: int
    zeroshot: bool

    @property
    def combinations(self) -> int:
        """Distinct candidates that there can be."""
        choices = self.instructions * (1 if self.zeroshot else self.demo_sets)
        return int(choices**self.sizes.predictors)

    @property
    def full_evals(self) -> int:
        """Evaluations on the whole valset after the baseline's."""
        if not self.minibatch:
            return self.trials
        return math.ceil(self.trials / self.params.minibatch_full_eval_steps)

    @property
    def bootstrapped_sets(self) -> int:
        """Demo sets that are bootstrapped: all but the empty and the labeled one."""
        labeled = 0 if self.zeroshot or not self.params.max_labeled_demos else 1
        return max(0, self.demo_sets - 1 - labeled)

    @property
    def task_calls(self) -> CallRange:
        """LM calls of the program: baseline, bootstrapping and trials."""
        sizes, sets = self.sizes, self.bootstrapped_sets
        asked = self.full_evals * sizes.val
        if self.minibatch:
            asked += self.trials * self.params.minibatch_size
        first_set = min(self.demos, sizes.train) if sets else 0
        return sizes.calls(
            lower=sizes.val + first_set, upper=sizes.val + asked + sets * sizes.train
        )

    @property
    def prompt_calls(self) -> CallRange:
        """LM calls of the proposer: data summary and instructions."""
        params = self.params
        proposals = self.instructions * self.sizes.predictors
        per_proposal = 3 if params.program_aware_proposer else 1
        more = math.ceil(self.sizes.train / params.view_data_batch_size) - 1
        batches = min(_SUMMARY_BATCHES, max(0, more))
        least = most = 0
        if params.data_aware_proposer:
            least, most = 2 + min(_COMPLETE_AFTER, batches), 2 + batches
        upper = proposals * per_proposal + most
        return CallRange(lower=proposals + least, upper=upper)


def make_plan(params: Miprov2Params, sizes: Sizes) -> Plan:
    """The numbers that MIPROv2 will work with."""
    zeroshot = not params.max_bootstrapped_demos and not params.max_labeled_demos
    demos = _ZEROSHOT_DEMOS if zeroshot else params.max_bootstrapped_demos
    instructions = demo_sets = params.num_candidates or 1
    trials, minibatch = params.num_trials or 1, params.minibatch
    if params.auto is not None:
        demo_sets, _ = AUTO[params.auto]
        # a race can afford to try as many instructions as demo sets
        instructions = demo_sets if zeroshot or params.races else demo_sets // 2
        variables = sizes.predictors * (1 if zeroshot else 2)
        trials = int(max(2 * variables * math.log2(demo_sets), 1.5 * demo_sets))
        minibatch = not params.races and sizes.val > _AUTO_MINIBATCH_FROM
    return Plan(
        params=params,
        sizes=sizes,
        instructions=min(instructions, demo_sets),
        demo_sets=demo_sets,
        trials=trials,
        minibatch=minibatch,
        demos=demos,
        zeroshot=zeroshot,
    )


def check_arguments(params: Miprov2Params, sizes: Sizes) -> list[Check]:
    """Whether the arguments fit each other and the splits."""
    plan, numbers = make_plan(params, sizes), [params.num_candidates, params.num_trials]
    bootstrapped, labeled = params.max_bootstrapped_demos, params.max_labeled_demos
    demos_fit = bool(bootstrapped) or not labeled
    enough = not plan.minibatch or plan.full_evals <= plan.combinations
    return [
        check(
            "miprov2_mode",
            f"{_HERE}.auto",
            params.model_dump(include={"auto", "num_candidates", "num_trials"}),
            "either auto alone, or num_candidates and num_trials together",
            passed=numbers == [None, None] if params.auto else None not in numbers,
            remedy="Set auto to null, or both numbers to null.",
        ),
        check(
            "miprov2_minibatch",
            f"{_HERE}.minibatch_size",
            params.minibatch_size if plan.minibatch else None,
            f"at most the size of the valset, {sizes.val}",
            passed=not plan.minibatch or params.minibatch_size <= sizes.val,
            remedy=f"Lower it, or set {_HERE}.minibatch to false.",
        ),
        check(
            "miprov2_demos",
            f"{_HERE}.max_bootstrapped_demos",
            {"max_bootstrapped_demos": bootstrapped, "max_labeled_demos": labeled},
            "1 or more when max_labeled_demos is, and neither above the size of the "
            f"trainset, {sizes.train}",
            passed=demos_fit and max(bootstrapped, labeled) <= sizes.train,
            remedy="Change one of the two.",
        ),
        check(
            "miprov2_candidates",
            f"{_HERE}.num_candidates",
            {"distinct": plan.combinations, "full_evals": plan.full_evals},
            "2 or more distinct candidates, and with minibatch no fewer than there are "
            "full evaluations",
            passed=enough and plan.combinations > 1,
            remedy=f"Raise it, or {_HERE}.minibatch_full_eval_steps, or lower "
            "num_trials.",
        ),
    ]
