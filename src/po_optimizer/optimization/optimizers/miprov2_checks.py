"""Conflicts of MIPROv2's arguments, known before the first call."""

from po_optimizer.optimization.checks import Check
from po_optimizer.optimization.optimizers.base import Sizes
from po_optimizer.optimization.optimizers.miprov2_plan import make_plan
from po_optimizer.params import Miprov2Params

_HERE = "optimize.miprov2"


def check_arguments(params: Miprov2Params, sizes: Sizes) -> list[Check]:
    """Whether the arguments fit each other and the splits."""
    return [
        _auto_or_numbers(params),
        _minibatch(params, sizes),
        _demos(params, sizes),
        _candidates(params, sizes),
    ]


def _auto_or_numbers(params: Miprov2Params) -> Check:
    numbers = [params.num_candidates, params.num_trials]
    free = params.auto is None
    fits = None not in numbers if free else numbers == [None, None]
    return Check(
        name="miprov2_mode",
        setting=f"{_HERE}.auto",
        value={
            "auto": params.auto,
            "num_candidates": params.num_candidates,
            "num_trials": params.num_trials,
        },
        allowed="either auto alone, or num_candidates and num_trials together",
        passed=fits,
        message="" if fits else "Set auto to null, or both numbers to null.",
    )


def _minibatch(params: Miprov2Params, sizes: Sizes) -> Check:
    plan = make_plan(params, sizes)
    fits = not plan.minibatch or params.minibatch_size <= sizes.val
    return Check(
        name="miprov2_minibatch",
        setting=f"{_HERE}.minibatch_size",
        value=params.minibatch_size if plan.minibatch else None,
        allowed=f"at most the size of the valset, {sizes.val}",
        passed=fits,
        message="" if fits else f"Lower it, or set {_HERE}.minibatch to false.",
    )


def _demos(params: Miprov2Params, sizes: Sizes) -> Check:
    bootstrapped, labeled = params.max_bootstrapped_demos, params.max_labeled_demos
    fits = bool(bootstrapped) or not labeled
    enough = max(bootstrapped, labeled) <= sizes.train
    return Check(
        name="miprov2_demos",
        setting=f"{_HERE}.max_bootstrapped_demos",
        value={"max_bootstrapped_demos": bootstrapped, "max_labeled_demos": labeled},
        allowed="1 or more when max_labeled_demos is, and neither above the size of "
        f"the trainset, {sizes.train}",
        passed=fits and enough,
        message="" if fits and enough else "Change one of the two.",
    )


def _candidates(params: Miprov2Params, sizes: Sizes) -> Check:
    plan = make_plan(params, sizes)
    fits = not plan.minibatch or plan.full_evals <= plan.combinations
    fits = fits and plan.combinations > 1
    return Check(
        name="miprov2_candidates",
        setting=f"{_HERE}.num_candidates",
        value={"distinct": plan.combinations, "full_evals": plan.full_evals},
        allowed="2 or more distinct candidates, and with minibatch no fewer than "
        "there are full evaluations",
        passed=fits,
        message=""
        if fits
        else f"Raise it, or {_HERE}.minibatch_full_eval_steps, or lower num_trials.",
    )
