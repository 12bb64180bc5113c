"""A figure as inline SVG: no script, a thousandth of plotly's weight, and it prints.

It draws what this package's figures hold: markers, lines, error bars and straight lines
across. kedro-viz draws the same figures with plotly.
"""

from __future__ import annotations  # plotly's classes load when they are used

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

WIDTHS = {"wide": 960, "narrow": 350}
"""Classes of `report.css`, and the widths in pixels that they are drawn for."""

_SIDE, _TOP, _FOOT = 44, 8, 44  # pixels around what is drawn
_GAP = 84  # pixels that a tick of numbers needs
_MARKS = {
    "x-thin": "M{x0} {y0}L{x1} {y1}M{x0} {y1}L{x1} {y0}",
    "line-ns-open": "M{x} {y0}V{y1}",
    "square": "M{x0} {y0}h10v10h-10z",
    "circle": "M{x0} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
}
_REACH = {"x-thin": 4, "line-ns-open": 10}  # pixels around the point, of others 5


@dataclass(frozen=True)
class _Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    least: float = 0.0  # between two ticks

    def at(self, value: float) -> float:
        """Where a value lies."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round numbers, as many as there is room for."""
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
    legend = Markup("")
    if figure.layout.showlegend is not False:
        dots = (_tag("i", "", style=f"background:{_color(t)}") for t in figure.data)
        names = (_plain(trace.name) for trace in figure.data)
        items = (_tag("span", *pair) for pair in zip(dots, names, strict=True))
        legend = _tag("p", *items, class_="legend")
    drawings = []
    for name, width in WIDTHS.items():
        drawing = _Drawing(figure, width).draw(label)
        drawings.append(_tag("div", drawing, class_=name))
    return legend + Markup("").join(drawings)


class _Drawing:
    """A figure of one width."""

    def __init__(self, figure: go.Figure, width: int) -> None:
        layout = figure.layout
        self._x, self._y, self._shapes = layout.xaxis, layout.yaxis, layout.shapes
        self._traces, self._width = figure.data, width
        self._rows = list(self._y.ticktext or ())
        category = self._x.type == "category"
        self._columns = ["baseline", "optimized"] if category else []
        height = 46 * len(self._rows) if self._rows else 300
        left = _SIDE if not self._rows else 4
        # two points on a line need no more room than that
        right = min(width, 640) if self._columns else width
        self._top = _TOP if self._rows or not self._y.title.text else 3 * _TOP
        self._height = self._top + height + _FOOT
        self._across = self._axis("x", left, right - 12)
        bottom = float(self._top + height)
        self._down = self._axis("y", bottom, self._top)
        if self._rows:
            self._down = _Axis(-0.4, len(self._rows) - 0.6, _TOP + 12.0, bottom)

    def _axis(self, letter: str, start: float, end: float) -> _Axis:
        axis = self._x if letter == "x" else self._y
        if axis.range is not None:
            low, high = axis.range
            return _Axis(low, high, start, end)
        values = [v for t in self._traces for v in t[letter] if v is not None]
        low, high = min(values, default=0.0), max(values, default=1.0)
        room = 0.06 * ((high - low) or 1.0)
        least = float(axis.dtick or 0.0)
        return _Axis(low - room, high + room, start, end, least)

    def draw(self, label: str) -> Markup:
        """The SVG element."""
        parts = [*self._grid(), *self._lines_across()]
        for trace in self._traces:
            parts += self._scatter(trace)
        w, h = self._width, self._height
        box = {"viewBox": f"0 0 {w} {h}", "width": w, "height": h}
        return _tag("svg", *parts, **box, role="img", aria_label=label)

    def _grid(self) -> Iterator[Markup]:
        across, down, foot = self._across, self._down, self._height - _FOOT + 16
        names = dict(enumerate(self._columns))
        for tick in names or across.ticks():
            x = across.at(tick)
            yield _line(x, self._top, x, foot - 14, "grid")
            yield _text(x, foot, names.get(int(tick)) or f"{tick:g}", "middle")
        for n, name in enumerate(self._rows):
            yield _text(4, down.at(n) - 15, name, "start", "row")
        for tick in () if self._rows else down.ticks():
            y = down.at(tick)
            yield _line(across.start, y, across.end, y, "grid")
            yield _text(across.start - 6, y + 4, f"{tick:g}", "end")
        for y, axis in ((self._height - 8, self._x), (14, self._y)):
            if title := axis.title.text:
                yield _text(4, y, title, "start")

    def _lines_across(self) -> Iterator[Markup]:
        for shape in self._shapes:
            if shape.x0 == shape.x1:
                x = self._across.at(shape.x0)
                yield _line(
                    x, float(self._top), x, float(self._height - _FOOT), "across"
                )
            else:
                y = self._down.at(shape.y0)
                yield _line(self._across.start, y, self._across.end, y, "across")

    def _scatter(self, trace: Any) -> Iterator[Markup]:
        texts = trace.text or [trace.name] * len(trace.x)
        points = [
            None if x is None or y is None else (self._place(x), self._down.at(y))
            for x, y in zip(trace.x, trace.y, strict=True)
        ]
        if "lines" in trace.mode:
            yield from self._polylines(trace, points, texts)
        if "markers" not in trace.mode:
            return
        colors = trace.marker.color
        for n, point in enumerate(points):
            if point is not None:
                color = colors[n] if isinstance(colors, tuple) else colors
                row = _plain(self._rows[round(trace.y[n])]) if self._rows else ""
                text = f"{row} {trace.name} {_plain(texts[n])}".strip()
                mark = _mark(point, color, trace.marker.symbol or "circle")
                bars = self._error_bars(trace, n, point, color)
                yield _tag("g", _tag("title", text), *bars, mark)

    def _place(self, x: Any) -> float:
        return self._across.at(self._columns.index(x) if self._columns else x)

    def _polylines(
        self, trace: Any, points: list[Any], texts: Sequence[str]
    ) -> Iterator[Markup]:
        line = list[str]()
        steps = trace.line.shape == "hv"
        for n, point in enumerate([*points, None]):
            if point is not None:
                if line and steps:
                    line.append(f"{point[0]},{line[-1].split(',')[1]}")
                line.append(f"{point[0]},{point[1]}")
            elif line:
                look = {"fill": "none", "stroke": _color(trace), "stroke_width": "1.5"}
                title = _tag("title", _plain(texts[n - 1]))
                yield _tag("polyline", title, points=" ".join(line), **look)
                line = []

    def _error_bars(
        self, trace: Any, n: int, point: tuple[float, float], color: str
    ) -> Iterator[Markup]:
        bars, across, y = trace.error_x, self._across, point[1]
        if bars.array is not None:
            value = trace.x[n]
            ends = (value - bars.arrayminus[n], value + bars.array[n])
            left, right = (
                min(max(across.at(end), across.start), across.end) for end in ends
            )
            yield _line(left, y, right, y, "error", stroke=color)


def _mark(point: tuple[float, float], color: str, symbol: str) -> Markup:
    (x, y), reach = point, _REACH.get(symbol, 5)
    pattern = _MARKS.get(symbol, _MARKS["circle"])
    sides = {"x0": x - reach, "x1": x + reach, "y0": y - reach, "y1": y + reach}
    fill = color if symbol in ("circle", "square") else "none"
    path = pattern.format(x=x, y=y, **sides)
    return _tag("path", d=path, fill=fill, stroke=color, stroke_width=2)


def _line(
    x1: float, y1: float, x2: float, y2: float, kind: str, **look: object
) -> Markup:
    return _tag("line", class_=kind, x1=x1, y1=y1, x2=x2, y2=y2, **look)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> Markup:
    return _tag("text", _plain(text), class_=kind, x=x, y=y, text_anchor=anchor)


def _tag(element: str, *inside: str, **attributes: object) -> Markup:
    """An element; `_` in the name of an attribute is a hyphen."""
    pairs = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), value)
        for name, value in attributes.items()
    )
    if not inside:
        return Markup("<{}{}/>").format(element, pairs)
    text = Markup("").join(inside)
    return Markup("<{}{}>{}</{}>").format(element, pairs, text, element)


def _color(trace: Any) -> str:
    color = trace.marker.color
    if trace.line.color or color is None:
        return str(trace.line.color)
    return "#808080" if isinstance(color, tuple) else str(color)


def _plain(text: object) -> str:
    """Plotly's HTML as text."""
    return unescape(str(text).replace("<br>", ", "))
