"""Racing: the next examples are asked where their answers are likely to help most.

DSPy draws a candidate and evaluates all of it, whatever its first answers say. Here a
candidate answers a few examples at a time. It goes on if that is expected to lead to a
better program, and the search ends when no answer is worth its price any more.

References:
    Maron and Moore, "Hoeffding Races", NIPS 1993; which candidate is asked next, see
    `posterior`.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
import numpy as np
from dspy.evaluate.evaluate import EvaluationResult

from po_optimizer.optimization.optimizers.evaluation import Evaluation
from po_optimizer.optimization.optimizers.posterior import (
    Values,
    posterior,
)

BLOCK = 8
"""Examples between two looks; for any number of threads, as results are."""
WORTH = 2.5e-4
"""Score points that an answer must be expected to gain, or it is not asked for."""
_AHEAD = (BLOCK, 3 * BLOCK, 8 * BLOCK)
"""Examples over which the gain of asking a candidate is looked at."""
_HOPELESS = 3.0
"""Standard deviations below the best at which a candidate is given up: a chance of
0.1 % each, so that some 40 candidates and looks stay below 5 % together."""
_DRAWN = 100

Candidate = tuple[int, ...]
"""The number of the instructions and of the demo set of each predictor in turn."""


@dataclass(frozen=True)
class Look:
    """What is evaluated next: so many examples of the race's order, in all."""

    candidate: Candidate
    examples: int


class Race:
    """Says which candidate answers the next examples, and when it is enough.

    Args:
        choices: Per place of a candidate: the numbers that it may have, 0 first.
        scores: Of the start, candidate (0, 0, ...), on every example in order.
        bound: Most answers of all candidates together.
        seed: Of the candidates that are considered, if there are too many for all.
    """

    def __init__(
        self,
        choices: Sequence[Sequence[int]],
        scores: Sequence[float],
        bound: int,
        seed: int,
    ) -> None:
        rng = random.Random(seed)  # noqa: S311
        self._choices = choices
        self._n = len(scores)
        self._left = bound
        self._scores = {tuple(0 for _ in choices): list(scores)}
        self._drawn = [tuple(map(rng.choice, choices)) for _ in range(_DRAWN)]
        self._given_up: dict[Candidate, str] = {}
        self._means: dict[Candidate, float] = {}
        self._update()

    def add(self, candidate: Candidate, scores: Sequence[float]) -> str:
        """Takes the scores of the examples that were asked for.

        Returns:
            Why the candidate is given up; "" if it is not.
        """
        self._scores.setdefault(candidate, []).extend(scores)
        self._left -= len(scores)
        self._update()
        place = self._candidates.index(candidate)
        behind = self._posterior.behind(place)
        if behind < _HOPELESS or len(self._scores[candidate]) == self._n:
            return ""
        short = self._posterior.means.max() - self._posterior.means[place]
        reason = f"{short:.2f} below the best, {behind:.1f} standard errors"
        self._given_up[candidate] = reason
        return reason

    def score(self, candidate: Candidate) -> float:
        """The mean of a whole candidate, else the estimate of it, in [0, 1]."""
        scores = self._scores[candidate]
        if len(scores) == self._n:
            return sum(scores) / self._n
        return min(1.0, max(0.0, self._means[candidate]))

    def next(self) -> Look | None:
        """What is worth asking, or else what the best lacks; None: the race is over.

        The best may be a pair that nobody asked yet, of parts that others share.
        """
        place = self._most_valuable()
        if place is None:
            place = int(self._posterior.means.argmax())
            examples = self._n
        else:
            examples = min(self._n, self._answered(place) + BLOCK)
        if not 0 < examples - self._answered(place) <= self._left:
            return None
        return Look(self._candidates[place], examples)

    def describe(self) -> str:
        """How far the candidates came, in a sentence."""
        counts = Counter(
            "evaluated whole"
            if len(scores) == self._n
            else "given up as worse"
            if candidate in self._given_up
            else "left open, being worth no more calls"
            for candidate, scores in list(self._scores.items())[1:]
        )
        ends = ", ".join(f"{n} {words}" for words, n in sorted(counts.items()))
        return f"{len(self._scores) - 1} candidates tried: {ends}" if ends else ""

    def _answered(self, place: int) -> int:
        return len(self._scores.get(self._candidates[place], []))

    def _update(self) -> None:
        """The posterior of the tried, the drawn, and those next to the best so far."""
        considered = dict.fromkeys([*self._scores, *self._drawn])
        best = max(self._scores, key=self._mean)
        for place, numbers in enumerate(self._choices):
            for number in numbers:
                considered[(*best[:place], number, *best[place + 1 :])] = None
        self._candidates = list(considered)
        scores = np.full((len(considered), self._n), np.nan)
        for row, candidate in zip(scores, considered, strict=True):
            answers = self._scores.get(candidate, [])
            row[: len(answers)] = answers
        self._posterior = posterior(np.array(self._candidates), scores)
        means = self._posterior.means
        self._means = dict(zip(considered, map(float, means), strict=True))

    def _mean(self, candidate: Candidate) -> float:
        """As it was estimated before the last answers; of a new one 0.0."""
        return self._means.get(candidate, 0.0)

    def _most_valuable(self) -> int | None:
        """The candidate whose answers are expected to gain most; None: too little."""
        answered = np.array([*map(self._answered, range(len(self._candidates)))])
        missing = self._n - answered
        # the best must be whole in the end; the first candidate is that itself
        spare = self._left - (self._n if len(self._scores) > 1 else 0)
        open_ = (missing > 0) & (np.minimum(missing, BLOCK) <= spare)
        open_ &= [candidate not in self._given_up for candidate in self._candidates]
        values = np.max([self._values(np.minimum(m, missing)) for m in _AHEAD], axis=0)
        # rounded: what is equal must not be decided by the last bit of a processor
        values = np.where(open_, np.round(values, 9), 0.0)
        place = int(values.argmax())
        return place if values[place] >= WORTH else None

    def _values(self, asked: Values) -> Values:
        """Expected gain for an answer if a candidate is asked so many."""
        asked = np.maximum(asked, 1)
        return self._posterior.gains(asked) / asked


class RacingEvaluate(Evaluation):
    """An evaluation that keeps a candidate's answers from one look to the next.

    Args:
        plain: DSPy's evaluation, with its examples.
        seed: Of the order in which all candidates are asked the examples.
    """

    def __init__(self, plain: dspy.Evaluate, seed: int) -> None:
        super().__init__(plain)
        self._order = list(self.devset)
        random.Random(seed).shuffle(self._order)  # noqa: S311
        self._rows: dict[Candidate, list[Any]] = {}
        self._candidate: Candidate = ()
        self._race: Race | None = None

    def race(
        self,
        choices: Sequence[Sequence[int]],
        program_of: Callable[[Candidate], dspy.Module],
        bound: int,
        seed: int,
    ) -> str:
        """Races the candidates; the best one has been evaluated on all examples.

        Returns:
            How far they came.
        """
        start: Candidate = tuple(0 for _ in choices)
        self._look(program_of(start), Look(start, len(self._order)))
        scores = [float(row[-1]) for row in self._rows[start]]
        race = self._race = Race(choices, scores, bound, seed)
        while (look := race.next()) is not None:
            self._look(program_of(look.candidate), look)
        return race.describe()

    def _look(self, program: dspy.Module, look: Look) -> None:
        self._candidate = look.candidate
        self(program, devset=self._order[: look.examples])

    def evaluate(
        self,
        program: dspy.Module,
        metric: Any,
        examples: list[dspy.Example],
        **more: Any,
    ) -> EvaluationResult:
        """Asks what the candidate did not answer yet; its score is over all it did."""
        rows = self._rows.setdefault(self._candidate, [])
        new = self.plain(program, metric, examples[len(rows) :], **more)
        rows += new.results
        if self._race is None:
            return new
        reason = self._race.add(
            self._candidate, [float(row[-1]) for row in new.results]
        )
        score = round(100 * self._race.score(self._candidate), 2)
        result = EvaluationResult(score=score, results=list(rows))
        result.reason = reason
        return result
