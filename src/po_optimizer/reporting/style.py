"""One style for all figures: plotly, legible on light and on dark ground."""

from __future__ import annotations  # plotly's classes load when they are used

from collections.abc import Sequence

import plotly.graph_objects as go

from po_optimizer.evaluation.estimates import Estimate

# Okabe and Ito's palette: told apart without red-green vision, on white and on black.
BASELINE, OPTIMIZED = "#8f8f8f", "#2f8fd0"
BETTER, WORSE, EQUAL = "#009e73", "#d55e00", "#8f8f8f"
INK, GRID = "#808080", "rgba(128,128,128,0.25)"
ROW = 34  # pixels


def new_figure(rows: float, *, legend: bool = True) -> go.Figure:
    """An empty figure in the report's style, `rows` lines of text high."""
    figure = go.Figure()
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
        showlegend=legend,
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True)
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
    hollow = {"color": BASELINE, "symbol": "circle-open"}
    add_dots(figure, names, before, "baseline", **hollow, offset=-0.15)
    add_dots(figure, names, after, "optimized", color=OPTIMIZED, offset=0.15)
    figure.update_xaxes(title_text=title, range=[-0.02, 1.02])
    return name_rows(figure, names)


def name_rows(figure: go.Figure, names: Sequence[str]) -> go.Figure:
    """The figure with a name at each row, from the top down."""
    rows = list(range(len(names)))
    span = [len(names) - 0.4, -0.6]
    figure.update_yaxes(tickvals=rows, ticktext=names, range=span, autorange=False)
    return figure


def add_dots(
    figure: go.Figure,
    names: Sequence[str],
    estimates: Sequence[Estimate],
    label: str,
    *,
    color: str | Sequence[str],
    symbol: str = "circle",
    offset: float = 0.0,
) -> None:
    """Adds a mean with its interval to each row.

    Args:
        figure: It is changed.
        names: Of the rows, as HTML.
        estimates: A mean for each row, in the names' order.
        label: Of the legend.
        color: Of all, or of each.
        symbol: Plotly's name of it.
        offset: From the middle of the row, in rows; below it is above 0.
    """
    spans = [estimate.interval for estimate in estimates]
    means = [estimate.mean for estimate in estimates]
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
        text=[_describe(estimate) for estimate in estimates],
        hovertemplate=f"%{{customdata}}<br>{label} %{{text}}<extra></extra>",
    )


def _describe(estimate: Estimate) -> str:
    if estimate.mean is None:
        return estimate.note
    text = f"{estimate.mean:.3f}, n={estimate.n}"
    span = estimate.interval
    return f"{text}<br>{span.low:.3f} to {span.high:.3f}" if span else text
