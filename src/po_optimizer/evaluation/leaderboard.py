"""The configurations of a sweep by their testset scores, corrected for the choice.

Whoever tries M configurations and keeps the best sees more than is there. So each is
judged at an alpha that holds for all M together (`wear`), two of them are called
different only by a test of all pairs together, and the points that the best of M
equally good programs seems to gain stand beside it.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from po_optimizer.evaluation.noise_floor import noise_floor
from po_optimizer.evaluation.predictions import Result
from po_optimizer.evaluation.promotion import Decision, Promotion
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.evaluation.sign_flips import pairwise_tests
from po_optimizer.evaluation.statistics import Estimate, answers_to_pay, value_range
from po_optimizer.lms.usage import Usage
from po_optimizer.params import PromotionParams
from po_optimizer.reporting.figures import before_and_after


class Entry(Result):
    """One configuration; scores are testset means in [0, 1], higher is better.

    Attributes:
        lm: Slug of the LM that ran the program.
        valset_best: What the optimizer saw of the program it chose.
        optimized: The objective of its optimized program.
        baseline: The objective of the unoptimized one on the same LM.
        uplift: Paired, in [-1, 1].
        behind: The best entry's objective minus this one's, paired; None: the best.
        p_behind: That of no difference, by a test of all pairs of entries together;
            None: the best, or an older leaderboard.
        tied: True unless `p_behind` is at most alpha and the difference is worth
            more than three answers lost whole.
        calls_paid: LM calls of its optimization, over all restarts.
        seconds: Wall time of its optimization.
        cost_usd: None: unknown.
    """

    name: str
    lm: str
    optimizer: str
    seed: int
    valset_best: float
    optimized: Estimate
    rubric: Estimate | None
    baseline: Estimate
    uplift: Estimate
    behind: Estimate | None
    p_behind: float | None = None
    tied: bool
    decision: Decision
    calls_paid: int
    seconds: float
    cost_usd: float | None


class Leaderboard(Result):
    """The entries, best first, and what may be said of the first.

    Attributes:
        confidence: Of every interval, and of all that are called different together.
        num_compared: Configurations of which one is picked.
        noise_floor: Points that the best of so many equally good programs seems to
            gain on this testset; None if it cannot be told.
        winner: The best entry that may be promoted; None: no uplift is proven.
        sentences: The result in words.
    """

    format_version: Literal[1] = 1
    confidence: float
    num_compared: int
    noise_floor: float | None
    entries: list[Entry]
    winner: str | None
    sentences: list[str]


class Finished(Result):
    """What one configuration left.

    Attributes:
        scores: The optimized program's objective on each testset example, in the
            testset's order; None: unscored.
        search: Its optimization report.
    """

    report: ScoreReport
    promotion: Promotion
    search: dict[str, Any]
    scores: list[float | None]


def rank(finished: Mapping[str, Finished]) -> Leaderboard:
    """The leaderboard of one testset.

    Args:
        finished: Name of a configuration to what it left; all were evaluated on the
            same examples in the same order. At least one.
    """
    order = sorted(finished, key=lambda name: -_mean(finished[name].report))
    best = finished[order[0]]
    tests = _tests([finished[name] for name in order])
    entries = [
        _entry(name, finished[name], best, p_value)
        for name, p_value in zip(order, tests, strict=True)
    ]
    sd = best.report.uplift.score.sd
    floor = noise_floor(len(order), len(best.scores), sd) if sd is not None else None
    promoted = [entry.name for entry in entries if entry.decision == "promote"]
    board = Leaderboard(
        confidence=best.report.confidence,
        num_compared=len(order),
        noise_floor=floor,
        entries=entries,
        winner=promoted[0] if promoted else None,
        sentences=[],
    )
    return board.model_copy(update={"sentences": _sentences(board)})


def leaderboard_figure(board: Leaderboard) -> go.Figure:
    """Each configuration's objective before and after, with intervals, best first."""
    entries = board.entries
    return before_and_after(
        [f"{escape(entry.name)}<br>n={entry.optimized.n}" for entry in entries],
        [entry.baseline for entry in entries],
        [entry.optimized for entry in entries],
        f"objective (0 to 1), {board.confidence:.1%} intervals",
    )


def _entry(name: str, finished: Finished, best: Finished, p_value: float) -> Entry:
    report, search = finished.report, finished.search
    behind = None if finished is best else _behind(best, finished)
    spent = Usage.model_validate(search["spent"])
    return Entry(
        name=name,
        lm=search["fingerprint"]["task_lm.slug"],
        optimizer=search["optimizer"],
        seed=search["seed"],
        valset_best=search["best"]["score"],
        optimized=report.optimized.score,
        rubric=report.optimized.rubric,
        baseline=report.baseline.score,
        uplift=report.uplift.score,
        behind=behind,
        p_behind=None if behind is None else p_value,
        tied=behind is not None and not _differs(behind, p_value, report),
        decision=finished.promotion.decision,
        calls_paid=spent.paid,
        seconds=search["seconds"],
        cost_usd=spent.cost_usd,
    )


def _tests(ranked: Sequence[Finished]) -> list[float]:
    """The p-value of each difference from the first, of all pairs together."""
    scores = pd.DataFrame([one.scores for one in ranked], dtype=float).T.dropna()
    report = ranked[0].report
    params = PromotionParams(num_resamples=report.num_resamples, seed=report.seed)
    return [float(p) for p in pairwise_tests(scores.to_numpy(), params)[0]]


def _differs(behind: Estimate, p_value: float, report: ScoreReport) -> bool:
    alpha = round(1.0 - report.confidence, 12)
    losses = answers_to_pay(alpha) * max(0.0, _mean(report))
    return p_value <= alpha and behind.n * (behind.mean or 0.0) > losses


def _behind(best: Finished, other: Finished) -> Estimate:
    """The paired difference best - other, which has a test instead of an interval."""
    pairs = pd.DataFrame([best.scores, other.scores], dtype=float).T.dropna()
    return value_range((pairs[0] - pairs[1]).tolist())


def _mean(report: ScoreReport) -> float:
    mean = report.optimized.score.mean
    return -1.0 if mean is None else mean


def _sentences(board: Leaderboard) -> list[str]:
    first = board.entries[0]
    found = []
    if board.winner is None:
        found.append("No configuration's uplift over its baseline is proven.")
    else:
        found.append(f"{board.winner} may be promoted.")
    tied = [entry.name for entry in board.entries if entry.tied]
    if tied:
        found.append(f"{first.name} cannot be told from {', '.join(tied)}.")
    if board.noise_floor is not None and board.num_compared > 1:
        found.append(
            f"Of {board.num_compared} equally good programs the best would seem "
            f"{board.noise_floor:.3f} better on these n={first.optimized.n} examples."
        )
    return found
