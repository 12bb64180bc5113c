"""One style for all figures, legible on light and on dark ground.

A figure is the JSON that plotly.js reads, which kedro-viz brings along: traces in
`data`, axes and the rest in `layout`. No plotly is needed to make one; `svg` draws it
for the pages.
"""

from collections.abc import Sequence
from typing import Any

from po_optimizer.evaluation.estimates import Estimate

Trace = dict[str, Any]
Figure = dict[str, Any]

# Okabe and Ito's palette: told apart without red-green vision, on white and on black.
BASELINE, OPTIMIZED = "#8f8f8f", "#2f8fd0"
BETTER, WORSE, EQUAL = "#009e73", "#d55e00", "#8f8f8f"
INK, GRID = "#808080", "rgba(128,128,128,0.25)"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
ROW = 34  # pixels
_LEGEND = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}
_LAYOUT = {
    "margin": {"l": 8, "r": 12, "t": 36, "b": 8},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": INK, "size": 13, "family": "system-ui, sans-serif"},
    "legend": {**_LEGEND, "traceorder": "normal"},
    "hoverlabel": {"align": "left"},
    "hovermode": "closest",
}


def new_figure(traces: list[Trace], rows: float, **layout: Any) -> Figure:
    """A figure in the report's style.

    Args:
        traces: As plotly's.
        rows: Its height in lines of text.
        layout: As plotly's, over the style.
    """
    height = int(120 + ROW * rows)
    return {"data": traces, "layout": {**_LAYOUT, "height": height, **layout}}


def axis(title: str = "", **options: Any) -> dict[str, Any]:
    """An axis in the style, with what it counts as its title."""
    style = {"gridcolor": GRID, "zeroline": False, "automargin": True}
    return {**style, "title": {"text": title}, **options}


def named_rows(names: Sequence[str]) -> dict[str, Any]:
    """A vertical axis with a name, as HTML, at each row, from the top down."""
    span = [len(names) - 0.4, -0.6]
    return axis(tickvals=list(range(len(names))), ticktext=list(names), range=span)


def before_and_after(
    names: Sequence[str],
    before: Sequence[Estimate],
    after: Sequence[Estimate],
    title: str,
) -> Figure:
    """A row a name with two means in [0, 1] and their intervals.

    Args:
        names: HTML, two lines at most.
        before: The baseline's means, in the names' order.
        after: The optimized programs' means.
        title: Of the axis.
    """
    marker = {"color": BASELINE, "symbol": "circle-open"}
    traces = [
        dots(names, before, "baseline", marker, offset=-0.15),
        dots(names, after, "optimized", {"color": OPTIMIZED}, offset=0.15),
    ]
    xaxis, yaxis = axis(title, range=[-0.02, 1.02]), named_rows(names)
    return new_figure(traces, len(names) * 1.6, xaxis=xaxis, yaxis=yaxis)


def dots(
    names: Sequence[str],
    estimates: Sequence[Estimate],
    label: str,
    marker: dict[str, Any],
    offset: float = 0.0,
) -> Trace:
    """A mean with its interval in each row.

    Args:
        names: Of the rows, as HTML.
        estimates: A mean for each row, in the names' order.
        label: Of the legend.
        marker: Plotly's; `color` may be a list, one for each row.
        offset: From the middle of the row, in rows; below it is above 0.
    """
    color = marker["color"]
    ups, downs = [], []
    for estimate in estimates:
        mean, span = estimate.mean or 0.0, estimate.interval
        ups.append(span.high - mean if span else 0.0)
        downs.append(mean - span.low if span else 0.0)
    return {
        "type": "scatter",
        "x": [estimate.mean for estimate in estimates],
        "y": [row + offset for row in range(len(names))],
        "customdata": list(names),
        "name": label,
        "mode": "markers",
        "marker": {"size": 10, "line": {"width": 2, "color": color}, **marker},
        "error_x": {
            "array": ups,
            "arrayminus": downs,
            "color": color if isinstance(color, str) else INK,
            "thickness": 2,
        },
        "text": [_describe(estimate) for estimate in estimates],
        "hovertemplate": f"%{{customdata}}<br>{label} %{{text}}<extra></extra>",
    }


def _describe(estimate: Estimate) -> str:
    if estimate.mean is None:
        return estimate.note
    text = f"{estimate.mean:.3f}, n={estimate.n}"
    span = estimate.interval
    return f"{text}<br>{span.low:.3f} to {span.high:.3f}" if span else text
