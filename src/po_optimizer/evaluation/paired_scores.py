"""Computes the score report from the paired records of two programs.

Records become tables of numbers: all that means and intervals need of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from statistics import variance
from typing import TYPE_CHECKING, Any

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.estimates import Estimate
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.evaluation.score_report import (
    ProgramScore,
    ScoreReport,
    Selection,
    Uplift,
)
from po_optimizer.evaluation.sign_flips import noise_floor, paired_test
from po_optimizer.evaluation.statistics import (
    estimate,
    estimate_uplift,
    seen_interval,
    value_range,
)
from po_optimizer.evaluation.wear import Judgement
from po_optimizer.lms.usage import Usage
from po_optimizer.params.evaluate import PromotionParams

if TYPE_CHECKING:
    import pandas as pd

COMPONENT, STRATUM = "component ", "stratum "  # before the names of such columns
_ROWS = 1000  # turned into arrays at a time


def tabulate(*streams: Iterable[PredictionRecord]) -> list[pd.DataFrame]:
    """A table of each program's records, one row an example, NaN where there is none.

    Columns: which, status, group, score, rubric, seconds, repeats, variance, paid, and
    one for each component and each field of the strata. The streams are read once and
    side by side.

    Args:
        streams: The baseline's records, the optimized program's, and if wanted those
            of the reference outputs.

    Raises:
        PoOptimizerError: They are not of the same examples in the same order.
    """
    import pandas as pd  # noqa: PLC0415 -- half a second, at the start of every run

    parts: list[list[pd.DataFrame]] = [[] for _ in streams]
    rows = ([_row(record) for record in group] for group in side_by_side(*streams))
    while chunk := list(islice(rows, _ROWS)):
        for part, chunk_rows in zip(parts, zip(*chunk, strict=True), strict=True):
            part.append(pd.DataFrame(list(chunk_rows)))
    return [pd.concat(part, ignore_index=True) for part in parts]


def side_by_side(
    *streams: Iterable[PredictionRecord],
) -> Iterator[tuple[PredictionRecord, ...]]:
    """The records of the first example, one a stream, then those of the second ...

    Raises:
        PoOptimizerError: At the end, if there was a difference or no record.
    """
    sizes = [0] * len(streams)
    difference = ""
    for records in zip_longest(*streams):
        pairs = zip(sizes, records, strict=True)
        sizes = [n + (record is not None) for n, record in pairs]
        difference = difference or _difference(records)
        if not difference:
            yield records
    if difference or not sizes[0]:
        of = ("of the baseline", "of the optimized program", "examples in the testset")
        counts = ", ".join(f"{n} {name}" for n, name in zip(sizes, of, strict=False))
        raise PoOptimizerError(
            f"the predictions cannot be paired: {counts}, "
            f"{difference or 'which is none'}. Both programs must answer the same "
            "testset in the same order: run the pipeline evaluate again."
        )


def _difference(records: Sequence[PredictionRecord | None]) -> str:
    present = [record for record in records if record is not None]
    if len(present) < len(records):
        return "which is not the same number"
    first = present[0]
    for record in present:
        if (record.index, record.example_id) != (first.index, first.example_id):
            return f"first {first.example_id!r} beside {record.example_id!r}"
    return ""


def _row(record: PredictionRecord) -> dict[str, Any]:
    return {
        "which": record.which,
        "status": record.status,
        "group": record.group,
        "score": record.score,
        "rubric": record.rubric,
        "seconds": record.seconds,
        "repeats": max(1, len(record.repeats)),
        "variance": variance(record.repeats) if len(record.repeats) > 1 else None,
        "paid": bool(record.prompt_tokens or record.completion_tokens),
        **{f"{COMPONENT}{name}": value for name, value in record.components.items()},
        **{f"{STRATUM}{field}": value for field, value in record.strata.items()},
    }


Mean = Callable[["pd.Series"], Estimate]


def score_pairs(
    baseline: Iterable[PredictionRecord],
    optimized: Iterable[PredictionRecord],
    params: PromotionParams,
    *,
    champion: Iterable[PredictionRecord] | None = None,
    reference: Iterable[PredictionRecord] | None = None,
    selection: Selection | None = None,
    usage: Mapping[str, Usage] | None = None,
    judgement: Judgement | None = None,
) -> ScoreReport:
    """Both programs' means and the paired uplift between them.

    The records are read once, and only their numbers are kept.

    Args:
        baseline: The baseline's records.
        optimized: The optimized program's records of the same examples in the
            same order.
        params: Target, confidence, number of resamples, seed.
        champion: Records of the program that was promoted before.
        reference: Records of the reference outputs (`score_references`), of the
            same examples too; if none is scored, there is no ceiling.
        selection: How the optimized program was chosen.
        usage: "baseline" and "optimized" to what their calls took.
        judgement: What promotion needs on this testset; None: its first programs
            are judged, `num_compared` of them.

    Raises:
        PoOptimizerError: The records do not answer the same examples.
    """
    streams = {
        "baseline": baseline,
        "optimized": optimized,
        "champion": champion,
        "reference": reference,
    }
    answers = {n: records for n, records in streams.items() if records is not None}
    tables = dict(zip(answers, tabulate(*answers.values()), strict=True))
    columns = _columns(tables.values())
    spent = judgement or Judgement.at(1, params.num_compared, params.alpha)
    groups, after = _groups(tables["baseline"]), tables["optimized"]

    def mean(values: pd.Series) -> Estimate:
        return estimate(values.tolist(), params, _of(groups, values))

    def span(values: pd.Series) -> Estimate:
        return value_range(values.tolist())

    def program(which: str, mean: Mean = mean) -> ProgramScore:
        return _program(tables[which], columns, mean, (usage or {}).get(which))

    def uplift(over: str) -> Uplift:
        return _uplift(tables[over], after, columns, params, spent.alpha)

    over_baseline, stood = uplift("baseline"), "champion" in tables
    ceiling = "reference" in tables and _scored(tables["reference"]).any()
    floor, sd, chosen = None, over_baseline.score.sd, selection
    if chosen is not None and sd is not None:
        drawn = (chosen.n_tried, chosen.n_minibatch)
        floor = noise_floor(chosen.n_candidates, chosen.n_valset, sd, *drawn)
    return ScoreReport(
        **params.model_dump(exclude={"override", "compared_in"}),
        baseline=program("baseline"),
        optimized=program("optimized"),
        uplift=over_baseline,
        champion=program("champion") if stood else None,
        over_champion=uplift("champion") if stood else None,
        reference=program("reference", span) if ceiling else None,
        selection=selection,
        noise_floor=floor,
        judgement=spent,
    )


def _columns(tables: Iterable[pd.DataFrame]) -> list[str]:
    """The columns of scores: of every component that one of the programs has."""
    every = list(tables)
    names = sorted({name for table in every for name in _named(table, COMPONENT)})
    rubric = any(table["rubric"].notna().any() for table in every)
    return ["score", *(COMPONENT + n for n in names), *(["rubric"] if rubric else [])]


def _program(
    table: pd.DataFrame, columns: list[str], mean: Mean, usage: Usage | None = None
) -> ProgramScore:
    scored = table[_scored(table)]
    paid = scored["seconds"][scored["paid"]]
    variances = scored["variance"].dropna()
    return ProgramScore(
        which=table["which"][0],
        n_examples=len(table),
        n_failed=int((table["status"] == "failed").sum()),
        n_unscored=len(table) - len(scored),
        coverage=len(scored) / len(table),
        seconds_per_example=float(paid.mean()) if len(paid) else None,
        p95_seconds=float(paid.quantile(0.95)) if len(paid) else None,
        n_repeats=int(table["repeats"].max()),
        sd_repeats=float(variances.mean() ** 0.5) if len(variances) else None,
        usage=usage,
        **_estimates(_values(scored, columns), scored, mean),
    )


def _uplift(
    before: pd.DataFrame,
    after: pd.DataFrame,
    columns: list[str],
    params: PromotionParams,
    alpha: float,
) -> Uplift:
    both = _scored(before) & _scored(after)
    base = _values(before[both], columns)
    # Sums in another order differ in the 16th digit: that is no difference.
    differences = (_values(after[both], columns) - base).map(
        lambda difference: round(difference, 12)
    )
    scores, groups = differences["score"], _groups(before)
    own = _of(groups, scores)

    def mean(values: pd.Series) -> Estimate:
        same = base[str(values.name)].reindex(values.index)
        return estimate_uplift(
            values.tolist(), float(same.mean()), params, _of(groups, values)
        )

    return Uplift(
        test=paired_test(scores.tolist(), params, alpha, own),
        n_better=int((scores > 0).sum()),
        n_equal=int((scores == 0).sum()),
        n_worse=int((scores < 0).sum()),
        seen=seen_interval(scores.tolist(), params, alpha, own),
        **_estimates(differences, before[both], mean),
    )


def _estimates(values: pd.DataFrame, table: pd.DataFrame, mean: Mean) -> dict[str, Any]:
    """score, rubric, components and strata; what a record does not have is left out."""
    of_column = {name: mean(values[name].dropna()) for name in values}
    strata = {
        field: {
            value: mean(group)
            for value, group in values["score"].groupby(table[STRATUM + field])
        }
        for field in _named(table, STRATUM)
    }
    return {
        "score": of_column["score"],
        "rubric": of_column.get("rubric"),
        "components": {
            name: of_column[COMPONENT + name] for name in _named(values, COMPONENT)
        },
        "strata": {field: groups for field, groups in strata.items() if groups},
    }


def _values(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    values = table.reindex(columns=columns).astype(float)
    # An unreadable answer has no rubric and no parts of its own: they count as 0.0.
    return values.mask(table["status"] == "failed", values.fillna(0.0))


def _groups(table: pd.DataFrame) -> pd.Series[str] | None:
    """The group of each row; a row without one has its own. None: no row has one."""
    groups = table["group"]
    if groups.isna().all():
        return None
    return groups.where(groups.notna(), "alone " + table.index.astype(str))


def _of(groups: pd.Series[str] | None, values: pd.Series) -> list[str] | None:
    return None if groups is None else groups.reindex(values.index).tolist()


def _scored(table: pd.DataFrame) -> pd.Series[bool]:
    return table["status"] != "unscored"


def _named(table: pd.DataFrame, prefix: str) -> list[str]:
    return [str(c).removeprefix(prefix) for c in table if str(c).startswith(prefix)]
