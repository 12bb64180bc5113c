"""Conflicts of MIPROv2's arguments, known before the first call."""

from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.optimizers.base import Sizes
from po_optimizer.optimization.optimizers.miprov2_plan import make_plan
from po_optimizer.params import Miprov2Params

_HERE = "optimize.miprov2"


def check_arguments(params: Miprov2Params, sizes: Sizes) -> list[Check]:
    """Whether the arguments fit each other and the splits."""
    return [
        _auto_or_numbers(params),
        _minibatch(params, sizes),
        _racing(params, sizes),
        _demos(params, sizes),
        _candidates(params, sizes),
    ]


def _auto_or_numbers(params: Miprov2Params) -> Check:
    numbers = [params.num_candidates, params.num_trials]
    free = params.auto is None
    return check(
        "miprov2_mode",
        f"{_HERE}.auto",
        params.model_dump(include={"auto", "num_candidates", "num_trials"}),
        "either auto alone, or num_candidates and num_trials together",
        passed=None not in numbers if free else numbers == [None, None],
        remedy="Set auto to null, or both numbers to null.",
    )


def _minibatch(params: Miprov2Params, sizes: Sizes) -> Check:
    used = make_plan(params, sizes).minibatch
    return check(
        "miprov2_minibatch",
        f"{_HERE}.minibatch_size",
        params.minibatch_size if used else None,
        f"at most the size of the valset, {sizes.val}",
        passed=not used or params.minibatch_size <= sizes.val,
        remedy=f"Lower it, or set {_HERE}.minibatch to false.",
    )


def _racing(params: Miprov2Params, sizes: Sizes) -> Check:
    minibatch = make_plan(params, sizes).minibatch
    return check(
        "miprov2_racing",
        f"{_HERE}.racing",
        params.racing,
        "false with minibatch, which spares examples in its own way",
        passed=not (params.racing and minibatch),
        remedy=f"Set one of racing and {_HERE}.minibatch to false.",
    )


def _demos(params: Miprov2Params, sizes: Sizes) -> Check:
    bootstrapped, labeled = params.max_bootstrapped_demos, params.max_labeled_demos
    fits = bool(bootstrapped) or not labeled
    return check(
        "miprov2_demos",
        f"{_HERE}.max_bootstrapped_demos",
        {"max_bootstrapped_demos": bootstrapped, "max_labeled_demos": labeled},
        "1 or more when max_labeled_demos is, and neither above the size of the "
        f"trainset, {sizes.train}",
        passed=fits and max(bootstrapped, labeled) <= sizes.train,
        remedy="Change one of the two.",
    )


def _candidates(params: Miprov2Params, sizes: Sizes) -> Check:
    plan = make_plan(params, sizes)
    enough = not plan.minibatch or plan.full_evals <= plan.combinations
    return check(
        "miprov2_candidates",
        f"{_HERE}.num_candidates",
        {"distinct": plan.combinations, "full_evals": plan.full_evals},
        "2 or more distinct candidates, and with minibatch no fewer than there are "
        "full evaluations",
        passed=enough and plan.combinations > 1,
        remedy=f"Raise it, or {_HERE}.minibatch_full_eval_steps, or lower num_trials.",
    )
