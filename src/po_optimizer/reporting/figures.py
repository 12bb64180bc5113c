"""The figures of a report."""

from __future__ import annotations  # plotly's classes load when they are used

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from po_optimizer.evaluation.estimates import Estimate
from po_optimizer.evaluation.metric_check import MetricReport
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.optimization.journal import Trial
from po_optimizer.reporting.examples import Case, describe_choice
from po_optimizer.reporting.style import (
    BETTER,
    EQUAL,
    INK,
    OPTIMIZED,
    WORSE,
    add_dots,
    before_and_after,
    name_rows,
    new_figure,
)


def report_figures(
    report: ScoreReport,
    cases: Sequence[Case],
    trials: Sequence[Mapping[str, Any]],
) -> dict[str, go.Figure]:
    """uplift, components, examples, history; empty ones where data is missing.

    Args:
        report: Means, intervals, uplift.
        cases: The examples that are shown.
        trials: The optimizer's journal (`Trial`).
    """
    choice = describe_choice(len(cases), report.baseline.n_examples)
    return {
        "uplift": uplift_figure(report),
        "components": components_figure(report),
        "examples": slope_figure(cases).update_xaxes(title_text=choice),
        "history": history_figure(trials),
    }


def uplift_figure(report: ScoreReport) -> go.Figure:
    """The uplift with its interval, over all examples and per stratum."""
    rows = [("all examples", report.uplift.score)]
    if report.over_champion is not None:
        rows.append(("over the promoted program", report.over_champion.score))
    for field, groups in report.uplift.strata.items():
        rows += [(f"{field}: {value}", mean) for value, mean in groups.items()]
    rows = [(name, mean) for name, mean in rows if mean.mean is not None]
    means = [mean for _, mean in rows]
    figure = new_figure(len(rows), legend=False)
    figure.add_vline(x=0.0, line={"color": INK, "width": 1.5})
    colors = [_color(mean) for mean in means]
    names = [f"{escape(name)} (n={mean.n})" for name, mean in rows]
    add_dots(figure, names, means, "uplift", color=colors)
    figure.update_xaxes(
        title_text=f"uplift, {report.confidence:.0%} interval",
        range=_span(means),
    )
    return name_rows(figure, names)


def components_figure(report: ScoreReport) -> go.Figure:
    """Score, rubric and each component, before and after, with intervals."""
    before, after = report.baseline.every, report.optimized.every
    names = [escape(name) for name in before]
    title = f"mean on the testset, n={report.optimized.score.n} (0 to 1)"
    figure = before_and_after(names, [*before.values()], [*after.values()], title)
    if report.optimized.rubric is not None:
        look = {"symbol": "line-ns-open", "size": 20, "color": WORSE, "line_width": 3}
        row = names.index("rubric")
        target = {"x": [report.target_rubric], "y": [row], "name": "rubric's target"}
        figure.add_scatter(**target, mode="markers", marker=look)
    return figure


def slope_figure(cases: Iterable[Case]) -> go.Figure:
    """A line for each example, from the baseline's score to the optimized one's."""
    figure = new_figure(11)
    pairs = [
        (case.before, case.after, case.difference)
        for case in sorted(cases, key=lambda case: case.before.index)
        if case.difference is not None
    ]
    groups = {
        "better": (BETTER, [pair for pair in pairs if pair[2] > 0]),
        "equal": (EQUAL, [pair for pair in pairs if pair[2] == 0]),
        "worse": (WORSE, [pair for pair in pairs if pair[2] < 0]),
    }
    for name, (color, group) in groups.items():
        points = [_slope(before, after) for before, after, _ in group]
        figure.add_scatter(
            x=["baseline", "optimized", None] * len(group),
            y=[y for point in points for y in point[0]],
            text=[text for point in points for text in point[1]],
            customdata=[before.index for before, _, _ in group for _ in range(3)],
            name=f"{name} ({len(group)})",
            mode="lines+markers",
            line={"color": color, "width": 1.5},
            marker={"size": 8},
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_xaxes(range=[-0.15, 1.15], type="category")
    figure.update_yaxes(title_text="score of one example (0 to 1)", range=[-0.03, 1.03])
    return figure


def history_figure(trials: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Each trial's score on the valset, the best so far and the baseline."""
    rows = [Trial.model_validate(trial) for trial in trials]
    figure = new_figure(9)
    looks = {
        "minibatch": ("circle-open", EQUAL),
        "raced": ("x-thin", EQUAL),
        "full_eval": ("circle", OPTIMIZED),
        "baseline": ("square", WORSE),
    }
    for kind, (symbol, color) in looks.items():
        trials_of = [row for row in rows if row.kind == kind]
        if trials_of:
            figure.add_scatter(
                x=[row.trial for row in trials_of],
                y=[row.score for row in trials_of],
                text=[_trial_text(row) for row in trials_of],
                name=kind,
                mode="markers",
                marker={
                    "symbol": symbol,
                    "color": color,
                    "size": 11,
                    "line": {"width": 2, "color": color},
                },
                hovertemplate="%{text}<extra></extra>",
            )
    figure.add_scatter(
        x=[row.trial for row in rows],
        y=[row.best for row in rows],
        name="best so far",
        mode="lines",
        line={"color": BETTER, "shape": "hv", "width": 2},
    )
    for row in rows:
        if row.kind == "baseline":
            figure.add_hline(y=row.score, line={"color": WORSE, "dash": "dot"})
    figure.update_xaxes(title_text="trial", dtick=max(1, len(rows) // 10))
    figure.update_yaxes(title_text="score on the valset (0 to 1)")
    return figure


def metric_figure(report: MetricReport) -> go.Figure:
    """Each family's scores: a box, and a point an example."""
    applicable = [family for family in report.families if family.scores]
    figure = new_figure(1.6 * len(applicable), legend=False)
    for family in applicable:
        figure.add_box(
            x=family.scores,
            name=f"{escape(family.name)} (n={len(family.scores)})",
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            fillcolor="rgba(47,143,208,0.15)",
            line={"color": OPTIMIZED, "width": 1.5},
            marker={"size": 4, "opacity": 0.6},
            hoverinfo="x+name",
        )
    figure.update_xaxes(title_text="score of one example (0 to 1)", range=[-0.03, 1.03])
    figure.update_yaxes(autorange="reversed")
    return figure


def _span(estimates: Sequence[Estimate]) -> list[float]:
    reach = 0.05
    for estimate in estimates:
        span = estimate.interval
        ends = [span.low, span.high] if span else []
        reach = max([reach, abs(estimate.mean or 0.0), *(abs(end) for end in ends)])
    reach = min(1.0, reach)
    return [-1.1 * reach, 1.1 * reach]


def _slope(
    before: PredictionRecord, after: PredictionRecord
) -> tuple[list[float | None], list[str]]:
    text = f"{escape(before.example_id)}: {before.score:.3f} to {after.score:.3f}"
    return [before.score, after.score, None], [text, text, ""]


def _trial_text(row: Trial) -> str:
    return (
        f"trial {row.trial}, {escape(row.kind)}<br>score {row.score:.3f}, n={row.n}, "
        f"{row.n_failed} failed<br>instruction {row.instruction}, "
        f"demo set {row.demo_set}"
        + (f"<br>given up: {escape(row.reason)}" if row.reason else "")
    )


def _color(difference: Estimate) -> str:
    """Of an interval that reaches 0: neither better nor worse."""
    span = difference.interval
    if span is None or span.low <= 0.0 <= span.high:
        return EQUAL
    return BETTER if span.low > 0.0 else WORSE
