"""The score report: two programs on one testset, paired, with what chance explains.

All scores, components and rubrics lie in [0, 1], higher is better; an uplift is
mean(optimized) - mean(baseline) over the pairs, in [-1, 1].
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field

from po_optimizer.errors import UnpairedRecordsError
from po_optimizer.evaluation.records import PredictionRecord, Result, Which
from po_optimizer.evaluation.statistics import (
    Estimate,
    PairedTest,
    estimate,
    noise_floor,
    paired_test,
)
from po_optimizer.params import PromotionParams

DIFFERENCE_BOUNDS = (-1.0, 1.0)
Value = Callable[[PredictionRecord], float | None]


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


class ScoreReport(Result):
    """What `score_report.json` holds.

    Attributes:
        target_rubric: What the rubric's mean is compared with.
        reference: The metric on the reference outputs: the ceiling, no program.
        noise_floor: Points that choosing the best of K equal candidates on the
            valset adds by chance; None if the selection is not known.
    """

    format_version: Literal[1] = 1
    target_rubric: float
    confidence: float
    num_resamples: int
    seed: int
    baseline: ProgramScore
    optimized: ProgramScore
    uplift: Uplift
    reference: ProgramScore | None = None
    selection: Selection | None = None
    noise_floor: float | None = None


def compare(
    baseline: Sequence[PredictionRecord],
    optimized: Sequence[PredictionRecord],
    params: PromotionParams,
    *,
    reference: Sequence[PredictionRecord] = (),
    selection: Selection | None = None,
    usage: Mapping[str, Any] | None = None,
) -> ScoreReport:
    """Both programs' means and the paired uplift between them.

    Args:
        baseline: The baseline's records.
        optimized: The optimized program's records of the same examples in the
            same order.
        params: Target, confidence, number of resamples, seed.
        reference: Records of the reference outputs (`score_references`).
        selection: How the optimized program was chosen.
        usage: "baseline" and "optimized" to their calls' totals (`Usage`).

    Raises:
        UnpairedRecordsError: The two lists do not answer the same examples.
    """
    pairs = _paired(baseline, optimized)
    every = [*baseline, *optimized, *reference]
    names = sorted({name for record in every for name in record.components})
    graded = any(record.rubric is not None for record in every)
    given = usage or {}
    uplift = _uplift(pairs, names, graded, params)
    sd = uplift.score.sd
    floor = (
        noise_floor(selection.n_candidates, selection.n_valset, sd)
        if selection is not None and sd is not None
        else None
    )
    return ScoreReport(
        **params.model_dump(exclude={"override"}),
        baseline=_program(baseline, names, graded, params, given.get("baseline")),
        optimized=_program(optimized, names, graded, params, given.get("optimized")),
        uplift=uplift,
        reference=(
            _program(reference, names, graded, params, None) if reference else None
        ),
        selection=selection,
        noise_floor=floor,
    )


Pair = tuple[PredictionRecord, PredictionRecord]


def _paired(
    baseline: Sequence[PredictionRecord], optimized: Sequence[PredictionRecord]
) -> list[Pair]:
    sizes = len(baseline), len(optimized)
    if not baseline or sizes[0] != sizes[1]:
        raise UnpairedRecordsError(*sizes, "which is not the same number above 0")
    pairs = list(zip(baseline, optimized, strict=True))
    for before, after in pairs:
        if (before.index, before.example_id) != (after.index, after.example_id):
            first = f"first {before.example_id!r} beside {after.example_id!r}"
            raise UnpairedRecordsError(*sizes, first)
    return pairs


def _program(
    records: Sequence[PredictionRecord],
    names: Sequence[str],
    graded: bool,
    params: PromotionParams,
    usage: Any,
) -> ProgramScore:
    scored = [record for record in records if record.scored]
    paid = [r.seconds for r in scored if r.prompt_tokens or r.completion_tokens]

    def mean_of(value: Value, of: Sequence[PredictionRecord] = scored) -> Estimate:
        found = [value(record) for record in of]
        return estimate([v for v in found if v is not None], params)

    return ProgramScore(
        which=records[0].which,
        n_examples=len(records),
        n_failed=sum(record.status == "failed" for record in records),
        n_unscored=len(records) - len(scored),
        coverage=len(scored) / len(records),
        score=mean_of(_score),
        rubric=mean_of(_rubric) if graded else None,
        components={name: mean_of(_component(name)) for name in names},
        strata={
            field: {value: mean_of(_score, group) for value, group in groups.items()}
            for field, groups in _by_stratum(scored, _strata_of).items()
        },
        seconds_per_example=sum(paid) / len(paid) if paid else None,
        usage=None if usage is None else Usage.model_validate(usage),
    )


def _uplift(
    pairs: Sequence[Pair], names: Sequence[str], graded: bool, params: PromotionParams
) -> Uplift:
    both = [(a, b) for a, b in pairs if a.scored and b.scored]

    def mean_of(value: Value, of: Sequence[Pair] = both) -> Estimate:
        return estimate(_differences(of, value), params, DIFFERENCE_BOUNDS)

    differences = _differences(both, _score)
    return Uplift(
        score=mean_of(_score),
        test=paired_test(differences, params),
        rubric=mean_of(_rubric) if graded else None,
        components={name: mean_of(_component(name)) for name in names},
        strata={
            field: {value: mean_of(_score, group) for value, group in groups.items()}
            for field, groups in _by_stratum(both, lambda p: p[0].strata).items()
        },
        n_better=sum(d > 0 for d in differences),
        n_equal=sum(d == 0 for d in differences),
        n_worse=sum(d < 0 for d in differences),
    )


def _differences(pairs: Sequence[Pair], value: Value) -> list[float]:
    both = [(value(before), value(after)) for before, after in pairs]
    # Sums in another order differ in the 16th digit: that is no difference.
    return [round(b - a, 12) for a, b in both if a is not None and b is not None]


def _strata_of(record: PredictionRecord) -> dict[str, str]:
    return record.strata


def _by_stratum(
    items: Sequence[Any], strata_of: Callable[[Any], dict[str, str]]
) -> dict[str, dict[str, list[Any]]]:
    groups: dict[str, dict[str, list[Any]]] = {}
    for item in items:
        for field, value in strata_of(item).items():
            groups.setdefault(field, {}).setdefault(value, []).append(item)
    return {field: dict(sorted(found.items())) for field, found in groups.items()}


def _score(record: PredictionRecord) -> float | None:
    return record.score


def _rubric(record: PredictionRecord) -> float | None:
    # An unreadable answer has no rubric of its own and counts as 0.0.
    return 0.0 if record.status == "failed" and record.rubric is None else record.rubric


def _component(name: str) -> Value:
    def value(record: PredictionRecord) -> float | None:
        absent = 0.0 if record.status == "failed" else None
        return record.components.get(name, absent)

    return value
