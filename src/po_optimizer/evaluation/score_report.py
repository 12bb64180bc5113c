"""The score report: two programs on one testset, paired, with what chance explains.

All scores, components and rubrics lie in [0, 1], higher is better; an uplift is
mean(optimized) - mean(baseline) over the pairs, in [-1, 1].
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from pydantic import ConfigDict, Field

from po_optimizer.evaluation.columns import COMPONENT, STRATUM, tabulate
from po_optimizer.evaluation.records import PredictionRecord, Result, Which
from po_optimizer.evaluation.statistics import (
    Estimate,
    PairedTest,
    estimate,
    noise_floor,
    paired_test,
)
from po_optimizer.params import PromotionParams

SCORE_BOUNDS, DIFFERENCE_BOUNDS = (0.0, 1.0), (-1.0, 1.0)


class Usage(Result):
    """What LM calls took; reads anything with these attributes, as ledger totals.

    Attributes:
        paid: Calls that the LM answered or failed.
        cached: Calls that the response cache answered.
        failed: Paid calls that ended in an error.
        prompt_tokens: Of the paid calls.
        completion_tokens: Of the paid calls.
        cost_usd: US dollars; None if unknown, which is not 0.
        seconds: Sum of the paid calls' wall times.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, from_attributes=True)

    paid: int = 0
    cached: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    seconds: float = 0.0


class ProgramScore(Result):
    """One program on the testset.

    Attributes:
        n_failed: Answers that could not be used: 0.0 in every mean.
        n_unscored: Examples that the LM could not be asked about: in no mean.
        coverage: Share of the examples that were scored, in [0, 1].
        score: The objective.
        rubric: The rubric on its own; None if the metric has none.
        components: Each part of the metric.
        strata: The objective per stratum: field, then value.
        seconds_per_example: Over the answers that were not cached; None if all were.
        usage: Of this program's calls; None if not given.
    """

    which: Which
    n_examples: int
    n_failed: int
    n_unscored: int
    coverage: float
    score: Estimate
    rubric: Estimate | None
    components: dict[str, Estimate]
    strata: dict[str, dict[str, Estimate]]
    seconds_per_example: float | None = None
    usage: Usage | None = None


class Uplift(Result):
    """Paired differences optimized - baseline over examples scored for both."""

    score: Estimate
    test: PairedTest
    rubric: Estimate | None
    components: dict[str, Estimate]
    strata: dict[str, dict[str, Estimate]]
    n_better: int
    n_equal: int
    n_worse: int


class Selection(Result):
    """How the optimized program was chosen on the valset.

    Attributes:
        n_candidates: Candidates that were scored, K.
        n_valset: Examples that each was scored on.
        baseline_score: The baseline's score there, in [0, 1].
        best_score: The chosen candidate's score there, in [0, 1].
    """

    n_candidates: int = Field(ge=1)
    n_valset: int = Field(ge=1)
    baseline_score: float | None = None
    best_score: float | None = None


class Origin(Result):
    """What a report was measured with; two reports compare only if it is the same.

    Attributes:
        testset: sha256 over the testset's records in their order.
        metric: Import path and arguments.
        program: Import path of the program's class.
    """

    testset: str
    metric: str
    program: str


class ScoreReport(Result):
    """What `score_report.json` holds.

    Attributes:
        target_rubric: What the rubric's mean is compared with.
        confidence: Of every interval, in (0.5, 1).
        num_compared: Programs of which one is picked on this testset; the confidence
            holds for all of them together.
        reference: The metric on the reference outputs: the ceiling, no program.
        noise_floor: Points that choosing the best of K equal candidates on the
            valset adds by chance; None if the selection is not known.
        origin: Testset and metric; None in reports of before it was recorded.
    """

    format_version: Literal[1] = 1
    target_rubric: float
    confidence: float
    num_compared: int = 1
    num_resamples: int
    seed: int
    baseline: ProgramScore
    optimized: ProgramScore
    uplift: Uplift
    reference: ProgramScore | None = None
    selection: Selection | None = None
    noise_floor: float | None = None
    origin: Origin | None = None


def compare(
    baseline: Iterable[PredictionRecord],
    optimized: Iterable[PredictionRecord],
    params: PromotionParams,
    *,
    reference: Iterable[PredictionRecord] | None = None,
    selection: Selection | None = None,
    usage: Mapping[str, Any] | None = None,
) -> ScoreReport:
    """Both programs' means and the paired uplift between them.

    The records are read once, and only their numbers are kept.

    Args:
        baseline: The baseline's records.
        optimized: The optimized program's records of the same examples in the
            same order.
        params: Target, confidence, number of resamples, seed.
        reference: Records of the reference outputs (`score_references`), of the
            same examples too.
        selection: How the optimized program was chosen.
        usage: "baseline" and "optimized" to their calls' totals (`Usage`).

    Raises:
        UnpairedRecordsError: The records do not answer the same examples.
    """
    ceiling = [] if reference is None else [reference]
    before, after, *references = tables = tabulate(baseline, optimized, *ceiling)
    names = sorted({name for table in tables for name in _named(table, COMPONENT)})
    graded = any(table["rubric"].notna().any() for table in tables)
    given = usage or {}
    uplift = _uplift(before, after, names, graded, params)
    sd = uplift.score.sd
    floor = (
        noise_floor(selection.n_candidates, selection.n_valset, sd)
        if selection is not None and sd is not None
        else None
    )
    return ScoreReport(
        **params.model_dump(exclude={"override"}),
        baseline=_program(before, names, graded, params, given.get("baseline")),
        optimized=_program(after, names, graded, params, given.get("optimized")),
        uplift=uplift,
        reference=(
            _program(references[0], names, graded, params, None) if references else None
        ),
        selection=selection,
        noise_floor=floor,
    )


def _program(
    table: pd.DataFrame,
    names: Sequence[str],
    graded: bool,
    params: PromotionParams,
    usage: Any,
) -> ProgramScore:
    scored = table[_scored(table)]
    paid = scored["seconds"][scored["paid"]].tolist()
    return ProgramScore(
        which=table["which"][0],
        n_examples=len(table),
        n_failed=int((table["status"] == "failed").sum()),
        n_unscored=len(table) - len(scored),
        coverage=len(scored) / len(table),
        seconds_per_example=sum(paid) / len(paid) if paid else None,
        usage=None if usage is None else Usage.model_validate(usage),
        **_estimates(
            _values(scored, names), scored, params, names=names, graded=graded
        ),
    )


def _uplift(
    before: pd.DataFrame,
    after: pd.DataFrame,
    names: Sequence[str],
    graded: bool,
    params: PromotionParams,
) -> Uplift:
    both = _scored(before) & _scored(after)
    # Sums in another order differ in the 16th digit: that is no difference.
    differences = (_values(after[both], names) - _values(before[both], names)).map(
        lambda difference: round(difference, 12)
    )
    scores = differences["score"]
    return Uplift(
        test=paired_test(scores.tolist(), params),
        n_better=int((scores > 0).sum()),
        n_equal=int((scores == 0).sum()),
        n_worse=int((scores < 0).sum()),
        **_estimates(
            differences,
            before[both],
            params,
            names=names,
            graded=graded,
            bounds=DIFFERENCE_BOUNDS,
        ),
    )


def _estimates(
    values: pd.DataFrame,
    table: pd.DataFrame,
    params: PromotionParams,
    *,
    names: Sequence[str],
    graded: bool,
    bounds: tuple[float, float] = SCORE_BOUNDS,
) -> dict[str, Any]:
    """score, rubric, components and strata; what a record does not have is left out."""

    def mean_of(column: "pd.Series[float]") -> Estimate:
        return estimate(column.dropna().tolist(), params, bounds)

    strata = {
        field: {
            value: mean_of(group)
            for value, group in values["score"].groupby(table[STRATUM + field])
        }
        for field in _named(table, STRATUM)
    }
    return {
        "score": mean_of(values["score"]),
        "rubric": mean_of(values["rubric"]) if graded else None,
        "components": {name: mean_of(values[COMPONENT + name]) for name in names},
        "strata": {field: groups for field, groups in strata.items() if groups},
    }


def _values(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    columns = ["score", "rubric", *(COMPONENT + name for name in names)]
    values = table.reindex(columns=columns).astype(float)
    # An unreadable answer has no rubric and no parts of its own: they count as 0.0.
    return values.mask(table["status"] == "failed", values.fillna(0.0))


def _scored(table: pd.DataFrame) -> "pd.Series[bool]":
    return table["status"] != "unscored"


def _named(table: pd.DataFrame, prefix: str) -> list[str]:
    return [str(c).removeprefix(prefix) for c in table if str(c).startswith(prefix)]
