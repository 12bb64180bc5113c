"""What would have won: the answers of a search under another metric."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import dspy

from po_optimizer.errors import PoOptimizerError
from po_optimizer.optimization.report import Scored
from po_optimizer.params.base import Frozen
from po_optimizer.roles.metric import Measure, Metric, output_names


class RankedCandidate(Frozen):
    """One candidate of a search under both metrics.

    Args:
        trials: Those that evaluated it.
        instruction: Number of each predictor's instructions.
        demo_set: Number of each predictor's demo set.
        score: Mean under the run's own metric over the n examples, in [0, 1].
        other_score: The same under the other metric.
        n: Examples of the valset to which its answers are known.
        n_failed: Of these, answers that the other metric could not use: 0.0.
        rank: Under the run's own metric, from 1; None: not the whole valset is known.
        other_rank: The same under the other metric.
    """

    trials: list[int]
    instruction: list[int]
    demo_set: list[int]
    score: float
    other_score: float
    n: int
    n_failed: int
    rank: int | None = None
    other_rank: int | None = None

    @property
    def name(self) -> str:
        """Its first trial, and of what it is made."""
        instruction, demo_set = (
            ", ".join(map(str, numbers))
            for numbers in (self.instruction, self.demo_set)
        )
        return f"trial {self.trials[0]}: instruction {instruction}, demo set {demo_set}"


def rank_again(
    scored: Iterable[Scored], valset: list[dspy.Example], metric: Metric
) -> list[RankedCandidate]:
    """Every candidate, best under the other metric first; those with gaps are last.

    A candidate is ranked if its answers to the whole valset are known: a minibatch or a
    race leaves some out, and they are not guessed. Of equal scores the earlier is
    better, as in the search.

    Args:
        scored: The trials of the search.
        valset: That candidates were chosen on.
        metric: The other one.

    Raises:
        PoOptimizerError: It gave something else than a score in [0, 1], or none at all.
    """
    places = {id(example): place for place, example in enumerate(valset)}
    trials: dict[str, list[Scored]] = {}
    for event in scored:
        if any(id(example) in places for example, *_ in event.answers):
            key = f"{event.trial.instruction} {event.trial.demo_set}"
            trials.setdefault(key, []).append(event)
    measure = Measure(metric)
    rows = [_row(events, places, measure) for events in trials.values()]
    if all(row.n_failed == row.n for row in rows):
        raise PoOptimizerError(
            "--metric gave a score for no answer of the search. Name one that takes "
            "the run's examples and gives a number in [0, 1]."
        )
    whole = [row for row in rows if row.n == len(valset)]
    by_own = sorted(whole, key=lambda row: -row.score)
    by_other = sorted(whole, key=lambda row: -row.other_score)
    ranked = [
        row.model_copy(update={"rank": by_own.index(row) + 1, "other_rank": rank})
        for rank, row in enumerate(by_other, start=1)
    ]
    gaps = [row for row in rows if row.n < len(valset)]
    return ranked + sorted(gaps, key=lambda row: -row.other_score)


def _row(
    events: list[Scored], places: Mapping[int, int], measure: Measure
) -> RankedCandidate:
    """A candidate by all its trials, of each example the last answer."""
    answers = {
        places[id(result[0])]: result
        for event in events
        for result in event.answers
        if id(result[0]) in places
    }
    results = [answers[place] for place in sorted(answers)]
    scores = [_score(measure, example, answer) for example, answer, _ in results]
    return RankedCandidate(
        trials=[event.trial.trial for event in events],
        instruction=events[0].trial.instruction,
        demo_set=events[0].trial.demo_set,
        score=round(fmean(float(score) for *_, score in results), 4),
        other_score=round(fmean(score or 0.0 for score in scores), 4),
        n=len(results),
        n_failed=scores.count(None),
    )


def _score(measure: Measure, example: dspy.Example, prediction: Any) -> float | None:
    """The other metric's score; None: the answer is unusable, or there is none."""
    if isinstance(prediction, dspy.Prediction) and not output_names(prediction):
        return None  # the program raised
    try:
        score = measure(example, prediction)
    except Exception as error:
        raise PoOptimizerError(
            f"--metric gave no score ({type(error).__name__}: {error}). Name one that "
            "takes the run's examples and gives a number in [0, 1]."
        ) from error
    return None if score.unusable is not None else score.value
