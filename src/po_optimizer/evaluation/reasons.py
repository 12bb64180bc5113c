"""Why a program is promoted or not: the conditions, and a sentence for each."""

import math
from collections.abc import Iterator
from typing import Literal

from po_optimizer.evaluation.estimates import (
    Estimate,
    Interval,
    answers_to_pay,
    examples_needed,
)
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.params.base import Result

Condition = Literal["interval", "test", "losses"]
Decision = Literal[
    "promote", "keep_baseline", "keep_champion", "below_target", "inconclusive"
]
NAMES = {"baseline": "the baseline", "champion": "the promoted program"}
_SHOWN = 0.0001


class Evidence(Result):
    """The numbers that the decision rests on.

    Attributes:
        against: What the program must beat; the uplift is over it.
        p_value: Of the paired test; `alpha` is the highest that promotes.
        seen_low: Lower BCa limit, at 1 - alpha, of the differences seen; None: all
            are equal.
        n_groups: Of the pairs; None: each pair stands alone.
        gains: n x uplift, in whole answers (or groups of them); they must exceed
            `losses`.
        losses: What rare losses cost that n examples do not exclude, in whole answers:
            3 x the baseline's mean at alpha 0.05.
        reference_rubric: The reference outputs' own mean.
    """

    against: Literal["baseline", "champion"] = "baseline"
    uplift: float | None
    uplift_low: float | None
    uplift_high: float | None
    p_value: float
    n_pairs: int
    n_groups: int | None = None
    rubric: float | None
    target_rubric: float
    coverage: float
    n_failed_baseline: int
    n_failed_optimized: int
    alpha: float | None = None
    seen_low: float | None = None
    gains: float | None = None
    losses: float | None = None
    reference_rubric: float | None = None

    @classmethod
    def of(cls, report: ScoreReport) -> "Evidence":
        """The report's numbers."""
        challenge, rubric = report.challenge, report.optimized.rubric
        uplift, seen = challenge.score, challenge.seen
        interval, incumbent = uplift.interval, report.incumbent
        ceiling = report.reference.rubric if report.reference else None
        return cls(
            against="champion" if incumbent is report.champion else "baseline",
            uplift=uplift.mean,
            uplift_low=interval.low if interval else None,
            uplift_high=interval.high if interval else None,
            p_value=challenge.test.p_value,
            n_pairs=uplift.n,
            n_groups=uplift.n_groups,
            rubric=rubric.mean if rubric else None,
            target_rubric=report.target_rubric,
            coverage=min(program.coverage for program in report.programs),
            n_failed_baseline=report.baseline.n_failed,
            n_failed_optimized=report.optimized.n_failed,
            alpha=report.alpha,
            seen_low=seen.low if seen else None,
            gains=None if uplift.mean is None else uplift.n_independent * uplift.mean,
            losses=answers_to_pay(report.alpha) * (incumbent.score.mean or 0.0),
            reference_rubric=ceiling.mean if ceiling else None,
        )


def unmet(
    uplift: Estimate, seen: Interval | None, p_value: float, losses: float, alpha: float
) -> list[Condition]:
    """The conditions that a proven uplift must meet and this one does not.

    `interval`: the differences' BCa interval at 1 - alpha lies above 0. `test`: the
    sign-flip test's p is at most alpha; it stands beside the interval because a BCa
    interval of few examples is too narrow. `losses`: n x uplift exceeds the losses
    that n examples do not exclude, which no test of the sample can see. Of examples
    in groups n is the number of groups.
    `benchmarks/promotion_power.py` measures this rule.
    """
    mean = uplift.mean or 0.0
    met: dict[Condition, bool] = {
        "interval": (mean if seen is None else seen.low) > 0.0,
        "test": p_value <= alpha,
        "losses": uplift.n_independent * mean > losses,
    }
    return [name for name, holds in met.items() if not holds]


def least_examples(report: ScoreReport) -> int | None:
    """Examples from which on a perfect score would prove an uplift.

    None if the testset has as many: its outcome can tell.
    """
    mean, alpha = report.incumbent.score.mean, report.alpha
    if mean is None or mean >= 1.0:
        return None
    flips = math.ceil(1.0 - math.log2(alpha))  # that the test needs to reach alpha
    pays = math.floor(answers_to_pay(alpha) * mean / (1.0 - mean)) + 1
    least = max(flips, pays)
    return least if least > report.challenge.score.n_independent else None


def objections(
    report: ScoreReport, evidence: Evidence
) -> Iterator[tuple[Decision, str]]:
    """What speaks against a promotion, each with the decision that it leads to.

    The first one decides. In this order: not all was scored, there is no uplift, the
    uplift is not proven, the rubric misses its target.
    """
    if evidence.n_pairs == 0:
        yield "inconclusive", "No example was scored for both programs."
    elif evidence.coverage < 1.0:
        missing = sum(program.n_unscored for program in report.programs)
        yield (
            "inconclusive",
            f"Coverage is {evidence.coverage:.0%}: {missing} answers are unscored "
            "because the LM could not be asked. Run evaluate again.",
        )
    if evidence.uplift is not None and evidence.uplift <= 0.0:
        no: Decision = (
            "keep_baseline" if evidence.against == "baseline" else "keep_champion"
        )
        yield (
            no,
            f"The optimized program is not better than {NAMES[evidence.against]}: "
            f"uplift {_uplift_text(report)}.",
        )
        for sentence in _too_few(report):
            yield no, sentence
    elif evidence.uplift is not None:
        for sentence in _doubts(report, evidence):
            yield "inconclusive", sentence
    for sentence in _below_target(evidence):
        yield "below_target", sentence


def _too_few(report: ScoreReport) -> Iterator[str]:
    least, uplift = least_examples(report), report.challenge.score
    if least is not None:
        yield (
            f"Too few {_unit(uplift, 'examples')}: with {uplift.n_independent} not "
            f"even a perfect score would be proven, from {least} on it would."
        )


def _doubts(report: ScoreReport, evidence: Evidence) -> Iterator[str]:
    """The unmet conditions of an uplift above 0, and how many examples would do."""
    challenge, alpha = report.challenge, report.alpha
    uplift, test = challenge.score, challenge.test
    losses = evidence.losses or 0.0
    failed = unmet(uplift, challenge.seen, test.p_value, losses, alpha)
    if not failed:
        return
    if least_examples(report) is not None:
        yield from _too_few(report)
        yield from _examples_that_would_do(report)
        return
    unit = _unit(uplift, "answers")
    sentences: dict[Condition, str] = {
        "interval": f"the BCa interval of the differences at {1 - alpha:.4g} begins at "
        f"{evidence.seen_low or 0.0:+.3f}, not above 0",
        "test": f"the {test.method} test gives p={p_text(test.p_value)}, above "
        f"{alpha:.4g}",
        "losses": f"the gains add up to {uplift.n_independent} x "
        f"{evidence.uplift:.3f} = {evidence.gains:.2f} {unit}, and must exceed "
        f"{answers_to_pay(alpha):.3g} x {report.incumbent.score.mean or 0.0:.3f} "
        f"({NAMES[evidence.against]}'s mean) = {losses:.2f}, which losses too rare "
        f"to be seen in {uplift.n_independent} {unit} may cost",
    }
    why = "; ".join(sentences[name] for name in failed)
    yield f"The uplift{_over(evidence)} {_uplift_text(report)} is not proven: {why}."
    yield from _examples_that_would_do(report)


def _examples_that_would_do(report: ScoreReport) -> Iterator[str]:
    uplift, incumbent = report.challenge.score, report.incumbent.score.mean
    sd = uplift.sd if uplift.n_groups is None else uplift.sd_groups
    n = examples_needed(uplift.mean or 0.0, sd or 0.0, incumbent or 0.0, report.alpha)
    if n is not None and n > uplift.n_independent:
        unit = _unit(uplift, "examples")
        yield f"An uplift of this size takes about {n} {unit} to prove."


def _below_target(evidence: Evidence) -> Iterator[str]:
    rubric, target = evidence.rubric, evidence.target_rubric
    if rubric is None or rubric >= target:
        return
    yield (
        f"Its rubric of {rubric:.3f} is below target_rubric={target:g} "
        "(promotion.target_rubric)."
    )
    ceiling = evidence.reference_rubric
    if ceiling is not None and ceiling < target:
        yield (
            f"The reference outputs themselves reach {ceiling:.3f}: a target above "
            "them asks for better answers than the data shows."
        )


def proof(report: ScoreReport, evidence: Evidence) -> Iterator[str]:
    """What proves the uplift, and that the rubric reaches its target if it does."""
    yield (
        f"The uplift{_over(evidence)} {_uplift_text(report)} is proven: "
        f"p={p_text(evidence.p_value)} ({report.challenge.test.method} test, at most "
        f"{report.alpha:.4g} needed). The gains, {evidence.gains:.2f} "
        f"{_unit(report.challenge.score, 'answers')}, exceed the "
        f"{evidence.losses:.2f} that losses not seen here may cost."
    )
    yield f"All {evidence.n_pairs} examples were scored for both programs."
    if evidence.rubric is not None and evidence.rubric >= evidence.target_rubric:
        yield (
            f"Its rubric of {evidence.rubric:.3f} reaches "
            f"target_rubric={evidence.target_rubric:g}."
        )


def remarks(report: ScoreReport) -> Iterator[str]:
    """What a reader should know beside the decision."""
    yield from _about_the_champion(report)
    yield from _wear(report)
    incumbent, optimized = report.incumbent, report.optimized
    for program in report.programs:
        if program.n_failed == program.n_examples:
            name = NAMES.get(program.which, "the optimized program")
            yield f"No answer of {name} could be used: its predictions say why."
    if optimized.n_failed > incumbent.n_failed:
        name = "champion" if incumbent is report.champion else "baseline"
        yield (
            f"It fails more often: {optimized.n_failed} unusable answers, "
            f"{NAMES[name]} {incumbent.n_failed}; each counts as 0.0."
        )


def _about_the_champion(report: ScoreReport) -> Iterator[str]:
    if report.is_champion:
        yield (
            "It is the promoted program, and stays so until another one is promoted "
            "or a person decides against it (promotion.override)."
        )
    elif report.champion is None:
        return
    elif report.incumbent is report.champion:
        over = report.uplift.score.mean
        amount = "not measured" if over is None else f"{over:+.3f}"
        yield f"Over the baseline its uplift is {amount}, for information."
    else:
        yield (
            "On this testset the promoted program scores "
            f"{report.champion.score.mean or 0.0:.3f}, below the baseline's "
            f"{report.baseline.score.mean or 0.0:.3f}: so the baseline is what must be "
            "beaten."
        )


def _wear(report: ScoreReport) -> Iterator[str]:
    """What earlier programs of this testset leave of alpha; nothing if all is left."""
    judged, fresh = report.judgement, round(1.0 - report.confidence, 12)
    if judged is None or judged.alpha >= fresh:
        return
    first, last = _ordinal(judged.place), _ordinal(judged.place + judged.among - 1)
    which = (
        f"This is the {first} judgement on this testset"
        if judged.among == 1
        else f"It is one of {judged.among} programs judged together on this testset, "
        f"its {first} to {last}"
    )
    yield (
        f"{which}: promotion now needs p <= {judged.alpha:.2g} instead of "
        f"{fresh:.2g} and gains worth {answers_to_pay(judged.alpha):.1f} lost answers "
        f"instead of {answers_to_pay(fresh):.1f}."
    )
    if judged.place > 1:
        yield "Fresh examples restore both: raise data_prep.testset_draw by 1."


def p_text(p_value: float) -> str:
    """Four digits, or more where they would all be 0."""
    return f"{p_value:.4f}" if p_value >= _SHOWN else f"{p_value:.1g}"


def _unit(uplift: Estimate, of: str) -> str:
    """What the uplift's test counts: answers, say, or groups of them."""
    return of if uplift.n_groups is None else f"groups of {of}"


def _ordinal(number: int) -> str:
    teen = number % 100 in (11, 12, 13)
    ending = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _over(evidence: Evidence) -> str:
    return f" over {NAMES['champion']}" if evidence.against == "champion" else ""


def _uplift_text(report: ScoreReport) -> str:
    estimate = report.challenge.score
    text = f"{estimate.mean:+.3f} (n={estimate.n}"
    if estimate.interval is None:
        return f"{text}, no interval)"
    low, high = estimate.interval.low, estimate.interval.high
    return f"{text}, {report.confidence:.0%} interval {low:+.3f} to {high:+.3f})"
