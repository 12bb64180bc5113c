"""Bounds on what was measured, for CI: a run that misses one exits non-zero."""

from po_optimizer.errors import BelowBoundError
from po_optimizer.evaluation.score_report import ScoreReport
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
    call = program.usage.per_call() if program.usage else None
    measured = {
        "coverage": min(report.baseline.coverage, program.coverage),
        "rubric": program.rubric.mean if program.rubric else None,
        "uplift": report.uplift.score.mean,
        "tokens_per_call": call.tokens if call else None,
        "p95_seconds": program.p95_seconds,
    }
    below = fail_below.model_dump(exclude_none=True)
    above = fail_above.model_dump(exclude_none=True)
    if {*below, *above} == {"coverage"}:
        return
    for name, bound in {**below, **above}.items():
        value = measured[name]
        met = value is not None and (
            value >= bound if name in below else value <= bound
        )
        if not met:
            group = "fail_below" if name in below else "fail_above"
            raise _missed(f"evaluate.{group}.{name}", bound, value)


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
