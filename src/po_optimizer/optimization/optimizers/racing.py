"""Racing: the next examples are asked where their answers are likely to help most.

DSPy draws a candidate and evaluates all of it, whatever its first answers say. Here a
candidate answers a few examples at a time. It goes on if that is expected to lead to a
better program, and the search ends when no answer is worth its price any more.

While the answers to one look come, the next is chosen by those that came before, so
that the LM is not idle. The choice depends on scores alone, never on when they came.

References:
    Maron and Moore, "Hoeffding Races", NIPS 1993; which candidate is asked next, see
    `posterior`.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dspy
import numpy as np
from dspy.evaluate.evaluate import EvaluationResult
from dspy.utils.callback import with_callbacks

from po_optimizer.optimization.optimizers.base import Search
from po_optimizer.optimization.optimizers.posterior import Posterior, posterior

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
_ENOUGH = BLOCK + 1
"""Answers that are waited for; with fewer the next look is chosen before they come."""
_UNWAITED = 2.0
"""How many times `WORTH` such a look must promise: what comes may make it needless."""
_FIRST_TRIAL = 2  # after the baseline
_answer: Any = dspy.Evaluate.__call__.__wrapped__  # without callbacks

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

    Attributes:
        pending: Answers that were asked for and have not come, by candidate.
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
        self.pending: Counter[Candidate] = Counter()
        self._drawn = [tuple(map(rng.choice, choices)) for _ in range(_DRAWN)]
        self._given_up: dict[Candidate, str] = {}
        self._means: dict[Candidate, float] = {}
        self._expected: Posterior
        self._update()

    def add(self, candidate: Candidate, scores: Sequence[float]) -> str:
        """Takes the scores of the examples that were asked for.

        Returns:
            Why the candidate is given up; "" if it is not.
        """
        self._scores.setdefault(candidate, []).extend(scores)
        self.pending[candidate] -= len(scores)
        self._update()
        self._given_up.pop(candidate, None)
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
        """What is worth asking, or else what the best lacks that can be had.

        The best may be a pair that nobody asked yet, of parts that others share.

        Returns:
            None: nothing before all that was asked for has come; then, the end.
        """
        place, means = self._most_valuable(), self._posterior.means
        if place is None:
            # of the best ones, alike, looks in turn could leave none evaluated whole
            missing = self._n - np.array([*map(self._asked, range(len(means)))])
            place = int(np.where(missing <= self._left, means, -np.inf).argmax())
        examples = self._asked(place) + BLOCK
        if self._n - examples < BLOCK // 2:  # what is left is too little for a look
            examples = self._n
        asked = examples - self._asked(place)
        if not 0 < asked <= self._left:
            return None
        self._left -= asked
        self.pending[self._candidates[place]] += asked
        self._expected = self._expected.expecting(place, asked)
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

    def _asked(self, place: int) -> int:
        candidate = self._candidates[place]
        return len(self._scores.get(candidate, [])) + self.pending[candidate]

    def _update(self) -> None:
        """The posterior of the tried, the drawn, and those next to the best so far."""
        considered = dict.fromkeys([*self._scores, *+self.pending, *self._drawn])
        # as they were estimated before the last answers; of a new one 0.0
        best = max(self._scores, key=lambda tried: self._means.get(tried, 0.0))
        for place, numbers in enumerate(self._choices):
            for number in numbers:
                considered[(*best[:place], number, *best[place + 1 :])] = None
        self._candidates = list(considered)
        scores = np.full((len(considered), self._n), np.nan)
        for row, candidate in zip(scores, considered, strict=True):
            answers = self._scores.get(candidate, [])
            row[: len(answers)] = answers
        self._posterior = posterior(np.array(self._candidates), scores)
        self._expected = self._posterior
        for candidate, asked in (+self.pending).items():
            place = self._candidates.index(candidate)
            self._expected = self._expected.expecting(place, asked)
        means = self._posterior.means
        self._means = dict(zip(considered, map(float, means), strict=True))

    def _most_valuable(self) -> int | None:
        """The candidate whose answers are expected to gain most; None: too little."""
        asked = np.array([*map(self._asked, range(len(self._candidates)))])
        missing = self._n - asked
        # the best must be whole in the end; the first candidate is that itself
        tried = len(self._scores) > 1 or bool(+self.pending)
        spare = self._left - (self._n if tried else 0)
        open_ = (missing > 0) & (np.minimum(missing, BLOCK) <= spare)
        open_ &= [candidate not in self._given_up for candidate in self._candidates]
        looks = [np.maximum(np.minimum(most, missing), 1) for most in _AHEAD]
        values = np.max([self._expected.gains(n) / n for n in looks], axis=0)
        # rounded: what is equal must not be decided by the last bit of a processor
        values = np.where(open_, np.round(values, 9), 0.0)
        place = int(values.argmax())
        least = _UNWAITED * WORTH if +self.pending else WORTH
        return place if values[place] >= least else None


@dataclass(frozen=True)
class _Answers:
    """A look whose answers are asked for.

    Args:
        look: What is asked.
        program: The candidate's.
        result: Waits for the answers.
    """

    look: Look
    program: dspy.Module
    result: Callable[[], EvaluationResult]


class RacingEvaluate(dspy.Evaluate):
    """An evaluation that keeps a candidate's answers from one look to the next.

    Callbacks hear of each look as of an evaluation, one after the other, in the order
    in which they were chosen.

    Args:
        plain: DSPy's evaluation, with its examples, metric and threads.
        search: Its baseline is the first candidate.
        seed: Of the order in which all candidates are asked the examples.
    """

    def __init__(self, plain: dspy.Evaluate, search: Search, seed: int) -> None:
        self.__dict__.update(vars(plain))
        self._search = search
        self._order = list(self.devset)
        random.Random(seed).shuffle(self._order)  # noqa: S311
        self._rows: dict[Candidate, list[Any]] = {}
        self._n_asked: Counter[Candidate] = Counter()
        self._n_looks = 0

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
        scores = {id(example): score for example, _, score in self._search.baseline}
        baseline = [float(scores[id(example)]) for example in self._order]
        self._race = Race(choices, baseline, bound, seed)
        asked: deque[_Answers] = deque()
        while True:
            while self._race.pending.total() < _ENOUGH and (look := self._race.next()):
                asked.append(self._ask(look, program_of(look.candidate)))
            if not asked:
                return self._race.describe()
            self._answers = asked.popleft()
            examples = self._order[: self._answers.look.examples]
            self(self._answers.program, devset=examples)

    def _ask(self, look: Look, program: dspy.Module) -> _Answers:
        """Begins to ask; with one thread that waits until the answers are needed."""
        examples = self._order[self._n_asked[look.candidate] : look.examples]
        self._n_asked[look.candidate] = look.examples
        ask = partial(_answer, self, program, devset=examples)
        if self.num_threads == 1:
            return _Answers(look, program, ask)
        trial = _FIRST_TRIAL + self._n_looks
        self._n_looks += 1
        scope = replace(dspy.settings.po_call_scope, trial=-trial)
        with dspy.context(po_call_scope=scope):
            return _Answers(look, program, self._search.begin(ask))

    @with_callbacks  # type: ignore[untyped-decorator] # it keeps the signature
    def __call__(self, program: dspy.Module, devset: list[Any]) -> EvaluationResult:
        """The look's answers, with those that the candidate gave before."""
        candidate = self._answers.look.candidate
        rows, new = self._rows.setdefault(candidate, []), self._answers.result().results
        rows += new
        reason = self._race.add(candidate, [float(score) for *_, score in new])
        score = round(100 * self._race.score(candidate), 2)
        result = EvaluationResult(score=score, results=list(rows))
        result.reason = reason
        return result
