"""Figures as inline SVG."""

from xml.etree import ElementTree as ET

import pytest

from po_optimizer.evaluation.estimates import Estimate
from po_optimizer.reporting.examples import choose_cases
from po_optimizer.reporting.figures import history_figure, report_figures
from po_optimizer.reporting.style import before_and_after
from po_optimizer.reporting.svg import draw
from tests.evaluation.scripted import records, report
from tests.reporting.test_figures import AFTER, BEFORE, TRIALS

FIGURES = report_figures(
    report(BEFORE, AFTER),
    choose_cases(records(BEFORE, "baseline"), records(AFTER, "optimized")),
    TRIALS,
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
        assert [*drawing.iter("path"), *drawing.iter("polyline")]
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
    name = "&lt;b&gt;" + "long " * 20
    mean = Estimate(mean=0.5, n=2)
    shown = draw(before_and_after([name], [mean], [mean], "score"), '"><script>')
    assert "<script>" not in shown
    assert "&lt;b&gt;long long" in shown
    assert "optimized 0.500, n=2" in shown
