"""Bounds on what was measured, for CI: a run that misses one exits non-zero."""

from po_optimizer.errors import BelowBoundError
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.lms.usage import Usage
from po_optimizer.params import FailAbove, FailBelow

_NONE_ABOVE = FailAbove()


def check_fail_below(
    report: ScoreReport, fail_below: FailBelow, fail_above: FailAbove = _NONE_ABOVE
) -> None:
    """Lets a report pass that meets every bound; null bounds are no bounds.

    A mean over part of the testset meets none: with any bound the coverage must reach
    its own.

    Raises:
        BelowBoundError: A bound is not met, or what it bounds was not measured.
    """
    program = report.optimized
    lowest = {
        "coverage": min(report.baseline.coverage, program.coverage),
        "rubric": program.rubric.mean if program.rubric else None,
        "uplift": report.uplift.score.mean,
    }
    highest = {
        "tokens_per_call": _tokens_per_call(program.usage),
        "p95_seconds": program.p95_seconds,
    }
    given = [fail_below.rubric, fail_below.uplift, *fail_above.model_dump().values()]
    if all(bound is None for bound in given):
        return
    for name, value in lowest.items():
        bound = getattr(fail_below, name)
        if bound is not None and (value is None or value < bound):
            raise _missed(f"evaluate.fail_below.{name}", bound, value)
    for name, value in highest.items():
        bound = getattr(fail_above, name)
        if bound is not None and (value is None or value > bound):
            raise _missed(f"evaluate.fail_above.{name}", bound, value)


def _missed(bound: str, allowed: float, measured: float | None) -> BelowBoundError:
    result = (
        "was not measured (nothing was scored, or every answer was cached)"
        if measured is None
        else f"is {measured:.4f}"
    )
    name = bound.rpartition(".")[2]
    return BelowBoundError(
        f"{bound}={allowed:g} is not met: the {name} on the testset {result}. The "
        "report is written; relax the bound or improve the program."
    )


def _tokens_per_call(usage: Usage | None) -> float | None:
    """None: no call was paid and answered, or none reported its tokens."""
    mean = usage.per_call() if usage else None
    return mean.tokens if mean else None
