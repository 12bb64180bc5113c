"""A ranking as table, figure and page."""

from __future__ import annotations  # plotly's classes load when they are used

from html import escape

import plotly.graph_objects as go

from po_optimizer.evaluation.ranking import RankedRun, Ranking
from po_optimizer.reporting.prompt_diff import environment
from po_optimizer.reporting.style import before_and_after
from po_optimizer.reporting.svg import draw


def ranking_table(ranking: Ranking) -> str:
    """The runs as CSV, one line each; empty: unknown or not measured."""
    import pandas as pd  # noqa: PLC0415 -- half a second, at the start of every run

    table = pd.DataFrame([_columns(run) for run in ranking.runs])
    return str(table.to_csv(index=False, lineterminator="\n"))


def ranking_figure(ranking: Ranking) -> go.Figure:
    """Each run's score before and after, with intervals, best first."""
    runs = ranking.runs
    return before_and_after(
        [f"{escape(run.name)}<br>n={run.optimized.n}" for run in runs],
        [run.baseline for run in runs],
        [run.optimized for run in runs],
        f"score (0 to 1), {100 * ranking.confidence:.3g}% intervals",
    )


def ranking_page(ranking: Ranking) -> str:
    """All runs on one self-contained page."""
    figure = draw(ranking_figure(ranking), "figure: ranking")
    template = environment().get_template("ranking.html.j2")
    return template.render(ranking=ranking, figure=figure)


def _columns(run: RankedRun) -> dict[str, str | float | int | None]:
    columns: dict[str, str | float | int | None] = {
        "run": run.name,
        "lm": run.lm,
        "program_of": run.program_of or run.lm,
        "ranked": str(run.ranked).lower(),
        "tied": str(run.tied).lower(),
        "p_behind": run.p_behind,
        "optimizer": run.optimizer,
        "seed": run.seed,
        "n": run.optimized.n,
    }
    estimates = {
        "baseline_objective": run.baseline,
        "objective": run.optimized,
        "baseline_rubric": run.baseline_rubric,
        "rubric": run.rubric,
        "uplift": run.uplift,
    }
    for name, estimate in estimates.items():
        interval = estimate.interval if estimate else None
        columns |= {
            name: estimate.mean if estimate else None,
            f"{name}_low": interval.low if interval else None,
            f"{name}_high": interval.high if interval else None,
        }
    columns |= {
        "decision": run.decision,
        "seconds_per_example": run.seconds_per_example,
        "tokens_per_example": run.tokens_per_example,
        "usd_per_1000_examples": run.cost_per_1000,
        "search_seconds": run.search_seconds,
        "search_calls_paid": run.search.paid if run.search else None,
        "search_usd": run.search.cost_usd if run.search else None,
    }
    return columns
