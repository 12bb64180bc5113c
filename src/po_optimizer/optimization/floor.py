"""The floor: a baseline on which no optimizer can tell candidates apart."""

from typing import Any

import dspy

from po_optimizer.errors import PoOptimizerError
from po_optimizer.optimization.attempt import attempt
from po_optimizer.optimization.journal import Trial
from po_optimizer.optimization.metric import GuardedMetric, is_failed
from po_optimizer.params import OptimizeParams


def stop_at_floor(
    baseline: Trial,
    results: list[Any],
    program: dspy.Module,
    metric: GuardedMetric,
    params: OptimizeParams,
) -> None:
    """Lets an optimization go on if its baseline gives it something to work with.

    Args:
        baseline: The trial of the baseline's evaluation.
        results: Its (example, prediction, score).
        program: The baseline program.
        metric: Says why an output could not be used.
        params: `floor_stop`, `floor_usable` and the score of an empty output.

    Raises:
        PoOptimizerError: Hardly an output is usable, or no score is above the floor.
    """
    usable = (baseline.n - baseline.n_failed) / baseline.n
    floor = params.preflight.max_empty_score
    scores = {float(score) for *_, score in results}
    if len(scores) == 1:
        floor = max([floor, *metric.empty_scores(*results[0][:2])])
    above = max(scores) > floor
    if not params.floor_stop or (usable >= params.floor_usable and above):
        return
    found = (
        f"{baseline.n_failed} of {baseline.n} outputs of the baseline program are "
        f"unusable (optimize.floor_usable={params.floor_usable})"
        if usable < params.floor_usable
        else f"no score of the baseline program is above {floor}, which an empty "
        f"output may have (n={baseline.n})"
    )
    example = next((e for e, _, s in results if is_failed(s)), results[0][0])
    again = attempt(program, example, metric)  # answered by the cache
    feedback = again.score.feedback if again.score is not None else ""
    reason = again.unusable or feedback or "it scores no more than nothing at all"
    raise PoOptimizerError(
        f"{found}; an optimizer cannot tell candidates apart on that. One of the "
        f"outputs could not be used because: {reason}. It reads: {again.raw!r}. "
        "Correct the program, the metric or the LM "
        "(optimize.floor_stop=false goes on regardless)."
    )
