"""Several answers to one example as one record: what an LM varies is no example."""

from collections.abc import Sequence
from statistics import fmean

from po_optimizer.evaluation.predictions import PredictionRecord


def mean_of_repeats(answers: Sequence[PredictionRecord]) -> PredictionRecord:
    """The example's record: means over the scored answers, a failed one being 0.0.

    It is failed if every scored answer is, unscored if none could be asked.

    Args:
        answers: Of one program to one example; at least one.
    """
    scored = [answer for answer in answers if answer.scored]
    if len(answers) == 1 or not scored:
        return answers[0]
    usable = [answer for answer in scored if answer.status == "ok"]
    names = {name for answer in scored for name in answer.components}
    graded = any(answer.rubric is not None for answer in scored)
    return (usable or scored)[0].model_copy(
        update={
            "reason": _reason(answers),
            "score": fmean(answer.score or 0.0 for answer in scored),
            "rubric": fmean(a.rubric or 0.0 for a in scored) if graded else None,
            "components": {
                name: fmean(answer.components.get(name, 0.0) for answer in scored)
                for name in sorted(names)
            },
            "repeats": [answer.score or 0.0 for answer in scored],
            "seconds": fmean(answer.seconds for answer in scored),
            "prompt_tokens": _total([a.prompt_tokens for a in scored]),
            "completion_tokens": _total([a.completion_tokens for a in scored]),
        }
    )


def _reason(answers: Sequence[PredictionRecord]) -> str:
    bad = [answer for answer in answers if answer.status != "ok"]
    if not bad:
        return ""
    return f"{len(bad)} of {len(answers)} answers: {bad[0].reason}"


def _total(counts: Sequence[int | None]) -> int | None:
    reported = [count for count in counts if count is not None]
    return sum(reported) if reported else None
