"""Every LM's score report side by side: what a point of score costs in time and money.

Only rows that were measured on the same testset with the same metric are ranked.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from po_optimizer.evaluation.predictions import Result
from po_optimizer.evaluation.promotion import Decision
from po_optimizer.evaluation.score_report import Origin
from po_optimizer.evaluation.statistics import Estimate
from po_optimizer.reporting.figures import (
    COLORS,
    before_and_after,
    new_figure,
)

QUOTED_SECONDS = {
    "ollama-granite4": "90-110",
    "ollama-mistral-7b-instruct": "30",
    "ollama-qwen2.5-coder-32b": "20",
    "vertex-gemini-2.5-flash": "10",
}
"""Seconds per example that the original project reported, on its machine."""


class Duration(Result):
    """How long an optimization with so many examples takes on an LM.

    Attributes:
        examples: Trainset and valset together.
        seconds: Wall time.
        basis: measured: such an optimization was run to its end; forecast: calls by
            formula, at the seconds that a call of this LM took.
    """

    examples: int
    seconds: float
    basis: Literal["measured", "forecast"]


class Row(Result):
    """One LM with one program; scores in [0, 1], higher is better.

    Attributes:
        lm: Folder of the LM that ran both programs.
        program_of: Folder of the LM that the program was optimized on; None: this one.
        origin: Testset and metric; None: the report is older than this record.
        seconds_per_example: Of the optimized program's paid calls; None: all cached.
        quoted_seconds: The original project's figure, quoted, not measured here.
        tokens_per_example: Prompt and completion; None: not reported.
        cost_per_1000: US dollars for 1,000 examples; None: unknown, which is not 0.
        comparable: Measured on the same testset and metric as most rows.
        tied: Its interval overlaps that of the best comparable row.
    """

    lm: str
    program_of: str | None
    origin: Origin | None
    baseline: Estimate
    optimized: Estimate
    baseline_rubric: Estimate | None
    rubric: Estimate | None
    uplift: Estimate
    decision: Decision | None
    seconds_per_example: float | None
    quoted_seconds: str | None
    tokens_per_example: float | None
    cost_per_1000: float | None
    durations: list[Duration]
    comparable: bool = True
    tied: bool = False

    @property
    def name(self) -> str:
        """The LM, and whose program it ran if not its own."""
        return (
            f"{self.lm} (program of {self.program_of})" if self.program_of else self.lm
        )


class Comparison(Result):
    """The rows, the comparable ones first and best first, and what may be said."""

    format_version: Literal[1] = 1
    rows: list[Row]
    sentences: list[str]


def compare_lms(rows: Sequence[Row]) -> Comparison:
    """The rows ranked by the optimized program's objective, as far as they may be.

    Args:
        rows: At least one.
    """
    standards = Counter(_standard(row) for row in rows)
    common = standards.most_common(1)[0][0]
    known = common is not None
    same = [row for row in rows if known and _standard(row) == common]
    same.sort(key=lambda row: -_mean(row))
    ranked = [
        row.model_copy(update={"tied": _overlap(row, same[0])}) if place else row
        for place, row in enumerate(same)
    ]
    apart = [
        row.model_copy(update={"comparable": False})
        for row in rows
        if not (known and _standard(row) == common)
    ]
    return Comparison(rows=[*ranked, *apart], sentences=_sentences(ranked, apart))


def comparison_table(comparison: Comparison) -> str:
    """The rows as CSV, one line each; empty: unknown or not measured."""
    table = pd.DataFrame([_flat(row) for row in comparison.rows])
    return str(table.to_csv(index=False, lineterminator="\n"))


def comparison_figure(comparison: Comparison) -> go.Figure:
    """Each row's objective before and after, with intervals."""
    rows = comparison.rows
    return before_and_after(
        [_on_two_lines(row) for row in rows],
        [row.baseline for row in rows],
        [row.optimized for row in rows],
        "objective (0 to 1)",
    )


def price_figure(comparison: Comparison) -> go.Figure:
    """The objective against seconds per example: up and to the left is better."""
    rows = [row for row in comparison.rows if row.seconds_per_example is not None]
    figure = new_figure(8 + len(rows))
    for row, color in zip(rows, itertools.cycle(COLORS), strict=False):
        mean, span = _mean(row), row.optimized.interval
        low, high = (span.low, span.high) if span else (mean, mean)
        figure.add_scatter(
            x=[row.seconds_per_example],
            y=[mean],
            name=row.name,
            mode="markers",
            marker={"color": color, "size": 11},
            error_y={"array": [high - mean], "arrayminus": [mean - low]},
            hovertemplate=f"{escape(row.name)}<br>%{{y:.3f}} at %{{x:.1f}} s"
            "<extra></extra>",
        )
    figure.update_layout(legend={"orientation": "v"})
    figure.update_xaxes(title_text="seconds per example (log)", type="log")
    figure.update_yaxes(title_text="objective (0 to 1)", range=[-0.02, 1.04])
    return figure


def _on_two_lines(row: Row) -> str:
    n = f"n={row.optimized.n}"
    below = f"program of {escape(row.program_of)}, {n}" if row.program_of else n
    return f"{escape(row.lm)}<br>{below}"


def _standard(row: Row) -> tuple[str, str] | None:
    return None if row.origin is None else (row.origin.testset, row.origin.metric)


def _mean(row: Row) -> float:
    return -1.0 if row.optimized.mean is None else row.optimized.mean


def _overlap(row: Row, best: Row) -> bool:
    mine, its = row.optimized.interval, best.optimized.interval
    return mine is None or its is None or mine.high >= its.low


def _sentences(ranked: Sequence[Row], apart: Sequence[Row]) -> list[str]:
    found = []
    if ranked:
        best, tied = ranked[0], [row.name for row in ranked if row.tied]
        found.append(
            f"Highest objective: {best.name} with {_mean(best):.3f} "
            f"(n={best.optimized.n})."
        )
        if tied:
            found.append(f"The intervals do not tell it from: {', '.join(tied)}.")
    if apart:
        names = ", ".join(row.name for row in apart)
        found.append(
            "Not ranked, because testset and metric are others or were not recorded: "
            f"{names}. Evaluate again with the same data_prep and role to compare."
        )
    return found


def _flat(row: Row) -> dict[str, str | float | int | None]:
    flat: dict[str, str | float | int | None] = {
        "lm": row.lm,
        "program_of": row.program_of or row.lm,
        "comparable": str(row.comparable).lower(),
        "n": row.optimized.n,
    }
    measured = {
        "baseline_objective": row.baseline,
        "objective": row.optimized,
        "baseline_rubric": row.baseline_rubric,
        "rubric": row.rubric,
        "uplift": row.uplift,
    }
    for name, found in measured.items():
        span = found.interval if found else None
        flat |= {
            name: found.mean if found else None,
            f"{name}_low": span.low if span else None,
            f"{name}_high": span.high if span else None,
        }
    flat |= {
        "decision": row.decision,
        "seconds_per_example": row.seconds_per_example,
        "tokens_per_example": row.tokens_per_example,
        "usd_per_1000_examples": row.cost_per_1000,
    }
    for took in row.durations:
        flat[f"optimize_{took.examples}_seconds"] = took.seconds
        flat[f"optimize_{took.examples}_basis"] = took.basis
    return flat
