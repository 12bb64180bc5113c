"""The report's figures: plotly, one style, legible on light and on dark ground."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from pydantic import AliasChoices, ConfigDict, Field

from po_optimizer.evaluation.predictions import PredictionRecord, Result
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.evaluation.statistics import Estimate
from po_optimizer.lms.usage import Usage
from po_optimizer.reporting.examples import Case, choose_cases, describe_choice

# Okabe and Ito's palette: told apart without red-green vision, on white and on black.
BASELINE, OPTIMIZED = "#8f8f8f", "#2f8fd0"
BETTER, WORSE, EQUAL = "#009e73", "#d55e00", "#8f8f8f"
INK, GRID = "#808080", "rgba(128,128,128,0.25)"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
ROW = 34  # pixels


class TrialRow(Result):
    """One line of the optimizer's journal; scores in [0, 1], higher is better."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    trial: int
    kind: str
    instruction: list[int] | int | None = None
    demo_set: list[int] | int | None = None
    score: float
    n: int
    n_failed: int = 0
    best: float
    paid: int = Field(0, validation_alias=AliasChoices("calls_paid", "paid"))
    cached: int = Field(0, validation_alias=AliasChoices("calls_cached", "cached"))
    seconds: float = 0.0


def report_figures(
    report: ScoreReport,
    baseline: Iterable[PredictionRecord],
    optimized: Iterable[PredictionRecord],
    trials: Sequence[Mapping[str, Any]],
    stages: Mapping[str, Usage],
) -> dict[str, go.Figure]:
    """uplift, components, examples, history, usage; empty ones where data is missing.

    Args:
        report: Means, intervals, uplift.
        baseline: The baseline's records; read twice.
        optimized: The optimized program's records, paired with the baseline's.
        trials: The optimizer's journal (`TrialRow`).
        stages: Stage to its LM calls' totals.
    """
    cases = choose_cases(baseline, optimized)
    choice = describe_choice(len(cases), report.baseline.n_examples)
    return {
        "uplift": uplift_figure(report),
        "components": components_figure(report),
        "examples": slope_figure(cases).update_xaxes(title_text=choice),
        "history": history_figure(trials),
        "usage": usage_figure(stages),
    }


def uplift_figure(report: ScoreReport) -> go.Figure:
    """The uplift with its interval, over all examples and per stratum."""
    rows = [("all examples", report.uplift.score)]
    if report.over_champion is not None:
        rows.append(("over the promoted program", report.over_champion.score))
    for field, groups in report.uplift.strata.items():
        rows += [(f"{field}: {value}", found) for value, found in groups.items()]
    rows = [(name, found) for name, found in rows if found.mean is not None]
    figure = new_figure(len(rows), legend=False)
    figure.add_vline(x=0.0, line={"color": INK, "width": 1.5})
    colors = [_color(found.mean or 0.0) for _, found in rows]
    names = [f"{escape(name)} (n={found.n})" for name, found in rows]
    _add_dots(figure, names, [found for _, found in rows], "uplift", color=colors)
    figure.update_xaxes(
        title_text=f"uplift, {report.confidence:.0%} interval",
        range=_span(found for _, found in rows),
    )
    return _name_rows(figure, names)


def components_figure(report: ScoreReport) -> go.Figure:
    """Score, rubric and each component, before and after, with intervals."""
    before, after = _measures(report.baseline), _measures(report.optimized)
    names = [escape(name) for name in before]
    figure = new_figure(len(names) * 1.3)
    _add_dots(
        figure,
        names,
        list(before.values()),
        "baseline",
        color=BASELINE,
        symbol="circle-open",
        offset=-0.15,
    )
    _add_dots(
        figure, names, list(after.values()), "optimized", color=OPTIMIZED, offset=0.15
    )
    if report.optimized.rubric is not None:
        look = {"symbol": "line-ns-open", "size": 20, "color": WORSE, "line_width": 3}
        row = names.index("rubric")
        target = {"x": [report.target_rubric], "y": [row], "name": "rubric's target"}
        figure.add_scatter(**target, mode="markers", marker=look)
    figure.update_xaxes(
        title_text=f"mean on the testset, n={report.optimized.score.n} (0 to 1)",
        range=[-0.02, 1.02],
    )
    return _name_rows(figure, names)


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
    for name, (color, found) in groups.items():
        points = [_slope(a, b) for a, b, _ in found]
        figure.add_scatter(
            x=["baseline", "optimized", None] * len(found),
            y=[y for point in points for y in point[0]],
            text=[text for point in points for text in point[1]],
            customdata=[a.index for a, _, _ in found for _ in range(3)],
            name=f"{name} ({len(found)})",
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
    rows = [TrialRow.model_validate(trial) for trial in trials]
    figure = new_figure(9)
    looks = {
        "minibatch": ("circle-open", EQUAL),
        "raced": ("x-thin", EQUAL),
        "full_eval": ("circle", OPTIMIZED),
        "baseline": ("square", WORSE),
    }
    for kind, (symbol, color) in looks.items():
        found = [row for row in rows if row.kind == kind]
        if found:
            figure.add_scatter(
                x=[row.trial for row in found],
                y=[row.score for row in found],
                text=[_trial_text(row) for row in found],
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
    figure.update_yaxes(title_text="mean score on the valset (0 to 1)")
    return figure


def usage_figure(stages: Mapping[str, Usage]) -> go.Figure:
    """LM calls, tokens and minutes of each stage."""
    names, usages = [escape(name) for name in stages], list(stages.values())
    panels: list[tuple[str, dict[str, tuple[list[float], str]]]] = [
        (
            "LM calls",
            {
                "paid calls": ([u.paid for u in usages], OPTIMIZED),
                "cached calls": ([u.cached for u in usages], BASELINE),
            },
        ),
        (
            "tokens, paid calls only",
            {
                "prompt tokens": ([u.prompt_tokens for u in usages], BETTER),
                "completion tokens": (
                    [u.completion_tokens for u in usages],
                    WORSE,
                ),
            },
        ),
        (
            "LM minutes",
            {"LM minutes": ([u.seconds / 60 for u in usages], "#cc79a7")},
        ),
    ]
    figure = make_subplots(rows=len(panels), cols=1, vertical_spacing=0.16)
    for number, (title, bars) in enumerate(panels, start=1):
        for name, (values, color) in bars.items():
            look = {"marker": {"color": color, "line_width": 0}, "orientation": "h"}
            figure.add_bar(x=values, y=names, name=name, row=number, col=1, **look)
        figure.update_xaxes(title_text=title, rangemode="tozero", row=number, col=1)
    _style(figure, 3 * (len(names) + 2.2))
    figure.update_layout(barmode="stack")
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def new_figure(rows: float, *, legend: bool = True) -> go.Figure:
    """An empty figure in the report's style, `rows` lines of text high."""
    figure = go.Figure()
    _style(figure, rows)
    figure.update_layout(showlegend=legend)
    return figure


def before_and_after(
    names: Sequence[str],
    before: Sequence[Estimate],
    after: Sequence[Estimate],
    title: str,
) -> go.Figure:
    """A row a name with two means in [0, 1] and their intervals.

    Args:
        names: HTML, two lines at most.
        before: The baseline's means, in the names' order.
        after: The optimized programs' means.
        title: Of the axis.
    """
    figure = new_figure(len(names) * 1.6)
    _add_dots(figure, names, before, "baseline", color=BASELINE, offset=-0.15)
    _add_dots(figure, names, after, "optimized", color=OPTIMIZED, offset=0.15)
    figure.update_xaxes(title_text=title, range=[-0.02, 1.02])
    return _name_rows(figure, names)


def _style(figure: go.Figure, rows: float) -> None:
    figure.update_layout(
        height=int(120 + ROW * rows),
        margin={"l": 8, "r": 12, "t": 36, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK, "size": 13, "family": "system-ui, sans-serif"},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True)


def _name_rows(figure: go.Figure, names: Sequence[str]) -> go.Figure:
    rows = list(range(len(names)))
    span = [len(names) - 0.4, -0.6]  # from the top down
    figure.update_yaxes(tickvals=rows, ticktext=names, range=span, autorange=False)
    return figure


def _add_dots(
    figure: go.Figure,
    names: Sequence[str],
    found: Sequence[Estimate],
    label: str,
    *,
    color: str | Sequence[str],
    symbol: str = "circle",
    offset: float = 0.0,
) -> None:
    spans = [one.interval for one in found]
    means = [one.mean for one in found]
    bars = [
        (span.high - (mean or 0.0), (mean or 0.0) - span.low) if span else (0.0, 0.0)
        for span, mean in zip(spans, means, strict=True)
    ]
    figure.add_scatter(
        x=means,
        y=[row + offset for row in range(len(names))],
        customdata=names,
        name=label,
        mode="markers",
        marker={
            "color": color,
            "symbol": symbol,
            "size": 10,
            "line": {"width": 2, "color": color},
        },
        error_x={
            "array": [up for up, _ in bars],
            "arrayminus": [down for _, down in bars],
            "color": color if isinstance(color, str) else INK,
            "thickness": 2,
        },
        text=[_estimate_text(one) for one in found],
        hovertemplate=f"%{{customdata}}<br>{label} %{{text}}<extra></extra>",
    )


def _measures(program: Any) -> dict[str, Estimate]:
    rubric = {} if program.rubric is None else {"rubric": program.rubric}
    return {"score": program.score, **rubric, **program.components}


def _estimate_text(found: Estimate) -> str:
    if found.mean is None:
        return found.note
    text = f"{found.mean:.3f}, n={found.n}"
    span = found.interval
    return f"{text}<br>{span.low:.3f} to {span.high:.3f}" if span else text


def _span(found: Iterator[Estimate]) -> list[float]:
    reach = 0.05
    for one in found:
        ends = [one.interval.low, one.interval.high] if one.interval else []
        reach = max([reach, abs(one.mean or 0.0), *(abs(end) for end in ends)])
    return [-1.1 * reach, 1.1 * reach]


def _slope(
    before: PredictionRecord, after: PredictionRecord
) -> tuple[list[float | None], list[str]]:
    text = f"{escape(before.example_id)}: {before.score:.3f} to {after.score:.3f}"
    return [before.score, after.score, None], [text, text, ""]


def _trial_text(row: TrialRow) -> str:
    return (
        f"trial {row.trial}, {escape(row.kind)}<br>score {row.score:.3f}, n={row.n}, "
        f"{row.n_failed} failed<br>instruction {row.instruction}, "
        f"demo set {row.demo_set}"
    )


def _color(difference: float) -> str:
    if difference == 0.0:
        return EQUAL
    return BETTER if difference > 0.0 else WORSE
