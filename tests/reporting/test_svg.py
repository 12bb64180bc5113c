"""Figures as inline SVG."""

import math
import re
from xml.etree import ElementTree as ET

import pytest

from po_optimizer.reporting.examples import choose_cases
from po_optimizer.reporting.figures import history_figure, report_figures
from po_optimizer.reporting.style import new_figure
from po_optimizer.reporting.svg import draw
from tests.evaluation.scripted import records, report
from tests.reporting.test_figures import AFTER, BEFORE, STAGES, TRIALS

FIGURES = report_figures(
    report(BEFORE, AFTER),
    choose_cases(records(BEFORE, "baseline"), records(AFTER, "optimized")),
    TRIALS,
    STAGES,
)


def parsed(figure):
    """The drawings of a figure as elements."""
    return ET.fromstring(f"<div>{draw(figure, 'what it shows')}</div>")  # noqa: S314


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_within_its_frame(name):
    """All that is drawn lies inside, on a wide and on a narrow screen."""
    drawings = list(parsed(FIGURES[name]).iter("svg"))
    assert {drawing.get("width") for drawing in drawings} == {"960", "350"}
    for drawing in drawings:
        width, height = float(drawing.get("width")), float(drawing.get("height"))
        marks = [*drawing.iter("path"), *drawing.iter("polyline")]
        marks += drawing.iter("rect")
        assert marks
        for line in drawing.iter("line"):
            across = [float(line.get(key)) for key in ("x1", "x2")]
            down = [float(line.get(key)) for key in ("y1", "y2")]
            assert 0 <= min(across) <= max(across) <= width
            assert 0 <= min(down) <= max(down) <= height


def test_ticks_are_round_and_trials_are_whole():
    """A reader counts in steps of 1, 2 or 5."""
    drawing = next(parsed(history_figure(TRIALS)).iter("svg"))
    ticks = [t.text for t in drawing.iter("text") if t.get("text-anchor") == "middle"]
    assert ticks == ["1", "2", "3"]


def test_names_are_whole_and_escaped():
    """A stratum's name is text, however long."""
    figure = new_figure(1)
    name = "&lt;b&gt;" + "long " * 20
    figure.add_bar(x=[2.0], y=[name], name="calls", orientation="h")
    shown = draw(figure, '"><script>')
    assert "<script>" not in shown
    assert "&lt;b&gt;long long" in shown
    assert "calls 2" in shown


def test_logarithmic_axis_has_ticks():
    """Seconds per example go over decades."""
    figure = new_figure(8)
    figure.add_scatter(x=[0.1, 30.0], y=[0.2, 0.9], name="run", mode="markers")
    figure.update_xaxes(type="log")
    texts = re.findall(r">([\d.]+)</text>", draw(figure, "price"))
    assert {"0.1", "1", "10"} <= {*texts}
    assert not any(math.isnan(float(text)) for text in texts)
