"""Racing: a candidate that cannot be the best is not evaluated to the end.

References:
    Maron and Moore, "Hoeffding Races", NIPS 1993; here with the paired t interval, as
    in Birattari et al., "A Racing Algorithm for Configuring Metaheuristics", 2002.
"""

from statistics import fmean
from typing import Any

import dspy
import scipy  # its parts load when they are used; stats takes a second
from dspy.evaluate.evaluate import EvaluationResult

from po_optimizer.optimization.optimizers.evaluation import Evaluation

BLOCK = 8
"""Examples between two comparisons; for any number of threads, as results are."""
_LEVEL = 0.95


class RacingEvaluate(Evaluation):
    """An evaluation that stops early if a candidate is worse than the best one.

    After each block of examples the differences to the best candidate's scores on the
    same examples are looked at: if the upper end of the 95 % interval of their mean
    lies below 0, the rest is spared. The result then has fewer rows than examples,
    and its score is the best's mean plus that mean difference, which is comparable
    to the scores of the whole set and always below the best.
    """

    def __init__(self, plain: dspy.Evaluate) -> None:
        super().__init__(plain)
        self._best: list[float] = []

    def evaluate(
        self,
        program: dspy.Module,
        metric: Any,
        examples: list[dspy.Example],
        **more: Any,
    ) -> EvaluationResult:
        """Evaluates block by block; the first whole evaluation is the first best."""
        rows: list[Any] = []
        for start in range(0, len(examples), BLOCK):
            block = examples[start : start + BLOCK]
            rows += self.plain(program, metric, block, **more).results
            scores = [float(row[-1]) for row in rows]
            if len(rows) < len(examples) and is_hopeless(scores, self._best):
                behind = fmean(_differences(scores, self._best))
                return _result(fmean(self._best) + behind, rows)
        if not self._best or fmean(scores) > fmean(self._best):
            self._best = scores
        return _result(fmean(scores), rows)


def is_hopeless(scores: list[float], best: list[float]) -> bool:
    """Whether a candidate is worse than the best one, as far as it was evaluated.

    Args:
        scores: Of the candidate's first examples, each in [0, 1]; at least 2.
        best: Of the best candidate on the same and more examples; empty: there is none.
    """
    if not best:
        return False
    differences = _differences(scores, best)
    if len(set(differences)) == 1:
        return differences[0] < 0
    interval = scipy.stats.ttest_1samp(differences, 0.0).confidence_interval(_LEVEL)
    return bool(interval.high < 0)


def _differences(scores: list[float], best: list[float]) -> list[float]:
    return [score - reference for score, reference in zip(scores, best, strict=False)]


def _result(score: float, rows: list[Any]) -> EvaluationResult:
    return EvaluationResult(score=round(100 * max(0.0, score), 2), results=rows)
