"""A figure as inline SVG: no script, a thousandth of plotly's weight, and it prints.

It draws what this package's figures hold: markers, lines, bars that stack, error bars
and straight lines across. kedro-viz draws the same figures with plotly.
"""

from __future__ import annotations  # plotly's classes load when they are used

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup, escape

WIDTHS = {"wide": 960, "narrow": 350}
"""Classes of `report.css`, and the widths in pixels that they are drawn for."""

_SIDE, _TOP, _FOOT = 44, 8, 44  # pixels around what is drawn
_GAP = 84  # pixels that a tick of numbers needs


@dataclass(frozen=True)
class _Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    least: float = 0.0  # between two ticks

    def at(self, value: float) -> float:
        """Where a value lies."""
        value = math.log10(value) if self.log else value
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round numbers, as many as there is room for."""
        if self.log:
            low, high = math.floor(self.low), math.ceil(self.high)
            marks = [m * 10.0**n for n in range(low, high + 1) for m in (1, 2, 5)]
            return [m for m in marks if self.low <= math.log10(m) <= self.high]
        room = max(2, int(abs(self.end - self.start) / _GAP))
        rough = max(self.least, (self.high - self.low) / room or 1.0)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
        first = math.ceil(self.low / step)
        return [n * step for n in range(first, math.floor(self.high / step) + 1)]


def draw(figure: go.Figure, label: str) -> Markup:
    """The figure for wide and for narrow screens, with its legend.

    Args:
        figure: Of this package.
        label: What it shows, for those who do not see it.
    """
    panels: dict[str, list[Any]] = defaultdict(list)
    for trace in figure.data:
        panels[(trace.xaxis or "x")[1:]].append(trace)
    drawings = [
        Markup('<div class="{}">{}</div>').format(
            name,
            Markup("").join(
                _Panel(figure, traces, suffix, width).draw(label)
                for suffix, traces in panels.items()
            ),
        )
        for name, width in WIDTHS.items()
    ]
    return Markup("").join([_legend(figure), *drawings])


def _legend(figure: go.Figure) -> Markup:
    if figure.layout.showlegend is False:
        return Markup("")
    items = [
        Markup('<span><i style="background:{}"></i>{}</span>').format(
            _color(trace), _plain(trace.name)
        )
        for trace in figure.data
    ]
    return Markup('<p class="legend">{}</p>').format(Markup("").join(items))


class _Panel:
    """One pair of axes."""

    def __init__(
        self, figure: go.Figure, traces: list[Any], suffix: str, width: int
    ) -> None:
        layout = figure.layout
        self._x, self._y = layout[f"xaxis{suffix}"], layout[f"yaxis{suffix}"]
        self._shapes = layout.shapes if not suffix else ()
        self._traces, self._width = traces, width
        bars = [trace for trace in traces if trace.type == "bar"]
        self._rows = self._row_names(bars)
        self._columns = ["baseline", "optimized"] if self._x.type == "category" else []
        height = 46 * len(self._rows) if self._rows else 300
        left = _SIDE if not self._rows else 4
        # two points on a line need no more room than that
        right = min(width, 640) if self._columns else width
        self._top = _TOP if self._rows or not self._y.title.text else 3 * _TOP
        self._height = self._top + height + _FOOT
        self._across = self._axis(self._x, "x", left, right - 12)
        bottom = float(self._top + height)
        self._down = self._axis(self._y, "y", bottom, self._top)
        if self._rows:
            self._down = _Axis(-0.4, len(self._rows) - 0.6, _TOP + 12.0, bottom)

    def _row_names(self, bars: list[Any]) -> list[str]:
        if bars:
            return list(dict.fromkeys(name for bar in bars for name in bar.y))
        return list(self._y.ticktext or ())

    def _axis(self, axis: Any, letter: str, start: float, end: float) -> _Axis:
        if letter == "x" and self._columns:
            return _Axis(-0.15, 1.15, start, end)
        if axis.range is not None and axis.type != "log":
            low, high = axis.range
            return _Axis(low, high, start, end)
        values = [v for trace in self._traces for v in _reach(trace, letter)]
        if axis.type == "log":
            values = [math.log10(value) for value in values if value > 0.0]
        low, high = min(values, default=0.0), max(values, default=1.0)
        if axis.rangemode == "tozero":
            low = 0.0
        room = 0.0 if axis.rangemode == "tozero" else 0.06 * ((high - low) or 1.0)
        high = high + room or 1.0
        log, least = axis.type == "log", float(axis.dtick or 0.0)
        return _Axis(low - room, high, start, end, log, least)

    def draw(self, label: str) -> Markup:
        """The panel as an SVG element of its width."""
        parts = [*self._grid(), *self._lines_across()]
        stacked: dict[str, float] = defaultdict(float)
        for trace in self._traces:
            if trace.type == "bar":
                parts += self._bars(trace, stacked)
            else:
                parts += self._scatter(trace)
        return Markup(
            '<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
            'aria-label="{label}">{parts}</svg>'
        ).format(
            w=self._width, h=self._height, label=label, parts=Markup("").join(parts)
        )

    def _grid(self) -> list[Markup]:
        across, down, foot = self._across, self._down, self._height - _FOOT + 16
        parts = []
        names = dict(enumerate(self._columns))
        for tick in names or across.ticks():
            x = across.at(tick)
            parts.append(_line(x, self._top, x, foot - 14, kind="grid"))
            parts.append(_text(x, foot, names.get(int(tick)) or f"{tick:g}", "middle"))
        for n, name in enumerate(self._rows):
            parts.append(_text(4, down.at(n) - 10, name, "start", "row"))
        for tick in () if self._rows else down.ticks():
            y = down.at(tick)
            parts.append(_line(across.start, y, across.end, y, kind="grid"))
            parts.append(_text(across.start - 6, y + 4, f"{tick:g}", "end"))
        titles = {self._height - 8: self._x, 14: self._y}
        return parts + [
            _text(4, y, axis.title.text, "start")
            for y, axis in titles.items()
            if axis.title.text
        ]

    def _lines_across(self) -> list[Markup]:
        parts = []
        for shape in self._shapes:
            x = [self._across.start, self._across.end]
            y = [float(self._top), float(self._height - _FOOT)]
            if shape.x0 == shape.x1:
                x = [self._across.at(shape.x0)] * 2
            else:
                y = [self._down.at(shape.y0)] * 2
            parts.append(_line(x[0], y[0], x[1], y[1], kind="across"))
        return parts

    def _bars(self, trace: Any, stacked: dict[str, float]) -> list[Markup]:
        parts = []
        for name, value in zip(trace.y, trace.x, strict=True):
            start, stacked[name] = stacked[name], stacked[name] + value
            left, right = self._across.at(start), self._across.at(stacked[name])
            y = self._down.at(self._rows.index(name)) - 5
            parts.append(
                Markup(
                    '<rect x="{}" y="{}" width="{}" height="14" fill="{}">'
                    "<title>{}</title></rect>"
                ).format(
                    left,
                    y,
                    max(0.0, right - left),
                    _color(trace),
                    f"{_plain(name)}: {trace.name} {value:,.6g}",
                )
            )
        return parts

    def _scatter(self, trace: Any) -> list[Markup]:
        texts = list(trace.text or [trace.name] * len(trace.x))
        points = [
            None if x is None or y is None else (self._place(x), self._down.at(y))
            for x, y in zip(trace.x, trace.y, strict=True)
        ]
        parts = []
        if "lines" in (trace.mode or ""):
            parts += self._polylines(trace, points, texts)
        if "markers" not in (trace.mode or ""):
            return parts
        colors = trace.marker.color
        for n, point in enumerate(points):
            if point is not None:
                color = colors[n] if isinstance(colors, tuple) else colors
                what = self._rows[round(trace.y[n])] if self._rows else ""
                text = f"{_plain(what)} {trace.name} {_plain(texts[n])}".strip()
                mark = _mark(point, color, trace.marker.symbol or "circle")
                bars = self._error_bars(trace, n, point, color)
                parts.append(
                    Markup("<g><title>{}</title>{}{}</g>").format(text, bars, mark)
                )
        return parts

    def _place(self, x: Any) -> float:
        return self._across.at(self._columns.index(x) if self._columns else x)

    def _polylines(
        self, trace: Any, points: list[Any], texts: Sequence[str]
    ) -> list[Markup]:
        parts, line = [], list[str]()
        steps = trace.line.shape == "hv"
        for n, point in enumerate([*points, None]):
            if point is not None:
                if line and steps:
                    line.append(f"{point[0]},{line[-1].split(',')[1]}")
                line.append(f"{point[0]},{point[1]}")
            elif line:
                parts.append(
                    Markup(
                        '<polyline points="{}" fill="none" stroke="{}" '
                        'stroke-width="1.5"><title>{}</title></polyline>'
                    ).format(" ".join(line), _color(trace), _plain(texts[n - 1]))
                )
                line = []
        return parts

    def _error_bars(
        self, trace: Any, n: int, point: tuple[float, float], color: str
    ) -> Markup:
        parts = []
        for bars, axis in ((trace.error_x, self._across), (trace.error_y, self._down)):
            if bars.array is None:
                continue
            value = (trace.x if axis is self._across else trace.y)[n]
            ends = axis.at(value - bars.arrayminus[n]), axis.at(value + bars.array[n])
            x, y = point
            if axis is self._across:
                left, right = (min(max(e, axis.start), axis.end) for e in ends)
                parts.append(_line(left, y, right, y, kind="error", color=color))
            else:
                parts.append(_line(x, ends[0], x, ends[1], kind="error", color=color))
        return Markup("").join(parts)


def _reach(trace: Any, letter: str) -> list[float]:
    """All that an axis must show of a trace."""
    values = [value for value in trace[letter] if isinstance(value, int | float)]
    if trace.type == "bar":
        return values
    bars = trace[f"error_{letter}"]
    if bars.array is None:
        return values
    ends = zip(values, bars.arrayminus, bars.array, strict=True)
    return [end for v, less, more in ends for end in (v - less, v + more)]


def _mark(point: tuple[float, float], color: str, symbol: str) -> Markup:
    x, y = point
    if symbol == "x-thin":
        path = f"M{x - 4} {y - 4}L{x + 4} {y + 4}M{x - 4} {y + 4}L{x + 4} {y - 4}"
    elif symbol == "line-ns-open":
        path = f"M{x} {y - 10}V{y + 10}"
    elif symbol == "square":
        path = f"M{x - 5} {y - 5}h10v10h-10z"
    else:
        path = f"M{x - 5} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"
    fill = color if symbol in ("circle", "square") else "none"
    return Markup('<path d="{}" fill="{}" stroke="{}" stroke-width="2"/>').format(
        path, fill, color
    )


def _line(*ends: float, kind: str, color: str = "") -> Markup:
    x0, y0, x1, y1 = ends
    style = Markup(' stroke="{}"').format(color) if color else ""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"{}/>').format(
        kind, x0, y0, x1, y1, style
    )


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, escape(_plain(text))
    )


def _color(trace: Any) -> str:
    color = trace.marker.color
    if trace.type == "scatter" and (trace.line.color or color is None):
        return str(trace.line.color)
    return "#808080" if isinstance(color, tuple) else str(color)


def _plain(text: object) -> str:
    """Plotly's HTML as text."""
    return unescape(str(text).replace("<br>", ", "))
