"""What would have won: the answers of a search under another metric."""

from collections.abc import Iterable
from statistics import fmean
from typing import Any

import dspy

from po_optimizer.errors import PoOptimizerError
from po_optimizer.optimization.report import Scored
from po_optimizer.params import Frozen
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
        numbers = [f"instruction {self.instruction}", f"demo set {self.demo_set}"]
        return f"trial {self.trials[0]}: {', '.join(numbers)}".replace("[", "").replace(
            "]", ""
        )


class _Answers:
    """What is known of one candidate: the result of each example, by its place."""

    def __init__(self) -> None:
        self.trials: list[int] = []
        self.results: dict[int, tuple[Any, Any, Any]] = {}


def rank_again(
    scored: Iterable[Scored], valset: list[dspy.Example], metric: Metric
) -> list[RankedCandidate]:
    """Every candidate, best under the other metric first; those with gaps are last.

    A candidate is ranked if its answers to the whole valset are known: a minibatch or a
    race leaves some out, and they are not guessed.

    Args:
        scored: The trials of the search.
        valset: That candidates were chosen on.
        metric: The other one.

    Raises:
        PoOptimizerError: It gave no score in [0, 1].
    """
    measure = Measure(metric)
    rows = [
        _row(key, answers, measure)
        for key, answers in _by_candidate(scored, valset).items()
        if answers.results
    ]
    whole = [row for row in rows if row.n == len(valset)]
    ranks = _ranks([row.score for row in whole])
    other_ranks = _ranks([row.other_score for row in whole])
    ranked = [
        row.model_copy(update={"rank": rank, "other_rank": other})
        for row, rank, other in zip(whole, ranks, other_ranks, strict=True)
    ]
    gaps = sorted((r for r in rows if r.n < len(valset)), key=lambda r: -r.other_score)
    return sorted(ranked, key=lambda row: row.other_rank or 0) + gaps


_Key = tuple[tuple[int, ...], tuple[int, ...]]


def _by_candidate(
    scored: Iterable[Scored], valset: list[dspy.Example]
) -> dict[_Key, _Answers]:
    places = {id(example): place for place, example in enumerate(valset)}
    candidates: dict[_Key, _Answers] = {}
    for event in scored:
        trial = event.trial
        key = (tuple(trial.instruction), tuple(trial.demo_set))
        answers = candidates.setdefault(key, _Answers())
        known = {places[id(r[0])]: r for r in event.answers if id(r[0]) in places}
        if known:
            answers.trials.append(trial.trial)
        answers.results |= known
    return candidates


def _row(key: _Key, answers: _Answers, measure: Measure) -> RankedCandidate:
    results = [answers.results[place] for place in sorted(answers.results)]
    scores = [_score(measure, example, answer) for example, answer, _ in results]
    return RankedCandidate(
        trials=answers.trials,
        instruction=[*key[0]],
        demo_set=[*key[1]],
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


def _ranks(scores: list[float]) -> list[int]:
    """From 1; of equal scores the earlier is better, as in the search."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    return [order.index(place) + 1 for place in range(len(scores))]
