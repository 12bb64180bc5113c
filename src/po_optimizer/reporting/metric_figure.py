"""The figure of what a metric tells apart."""

from __future__ import annotations  # plotly's classes load when they are used

from html import escape

import plotly.graph_objects as go

from po_optimizer.evaluation.metric_check import MetricReport
from po_optimizer.reporting.style import OPTIMIZED, new_figure


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
