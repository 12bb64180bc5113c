import io
import logging
from dataclasses import replace

from rich.console import Console

from po_optimizer.console.live import LiveView, minutes, show_progress, sparkline
from po_optimizer.lms.usage import Usage
from po_optimizer.optimization import forecast
from po_optimizer.optimization.events import (
    Ended,
    Phase,
    Scored,
    Started,
    log_event,
)
from tests.optimization import world
from tests.optimization.test_journal import trial

SPENT = Usage(paid=30, cached=2, prompt_tokens=900, cost_usd=None, seconds=3.0)
EVENTS = [
    Started("miprov2", trials=4, resumed=1, forecast=None, spent=lambda: SPENT),
    Phase("trials"),
    Scored(trial(1, 0.25), replayed=True),
    Ended("completed", 0.25, 12.0),
]


def test_without_a_terminal_each_event_is_a_log_line(caplog):
    """One line per event at INFO, none with a control character."""
    caplog.set_level(logging.INFO)
    with show_progress(Console(file=io.StringIO())) as progress:
        for event in EVENTS:
            progress(event)
    assert len(caplog.messages) == len(EVENTS)
    assert "resumed after trial 1" in caplog.messages[0]
    assert "score=0.2500 n=8 failed=0" in caplog.messages[2]
    assert "(replayed)" in caplog.messages[2]


def test_an_end_without_a_program_says_none(caplog):
    """A run without a baseline has no best."""
    caplog.set_level(logging.INFO)
    log_event(Ended("budget", None, 1.0))
    assert "best=none" in caplog.messages[0]


def test_a_terminal_gets_a_live_display(monkeypatch):
    """Stage, trial k of N, scores, best, calls, tokens, cost and time left."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    screen = io.StringIO()
    with show_progress(
        Console(file=screen, force_terminal=True, width=100)
    ) as progress:
        for event in EVENTS:
            progress(event)
    shown = screen.getvalue()
    for word in (
        "miprov2",
        "1 of 4, 1 replayed",
        "0.2500",
        "30 paid, 2 cached",
        "cost unknown",
    ):
        assert word.removeprefix("cost ") in shown
    assert "completed" in shown


def test_time_left_follows_the_pace(tmp_path):
    """Before a tenth is done the forecast tells, afterwards the pace."""
    view = LiveView(Console(file=io.StringIO()))
    begun = Started("gepa", trials=2, resumed=0, forecast=None, spent=lambda: SPENT)
    view(begun)
    assert view._lines()["time left"] == "unknown"
    lm = world.lm(tmp_path, seconds_per_example=60.0)
    view(replace(begun, forecast=forecast(world.job(lm))))
    assert view._lines()["time left"].startswith("at most ")
    view(Scored(trial(1, 0.25)))
    assert view._lines()["time left"] == "about 0 s"


def test_sparkline_spans_the_range():
    """0.0 is the lowest bar, 1.0 the highest, the newest are kept."""
    assert sparkline([0.0, 1.0]) == "▁█"
    assert len(sparkline([0.5] * 99)) == 40


def test_durations_are_read_at_a_glance():
    """Seconds up to a minute and a half, then minutes."""
    assert minutes(42) == "42 s"
    assert minutes(600) == "10 min"


def test_second_optimization_at_a_time_logs(monkeypatch, caplog):
    """A terminal has one live display; the other one's events are lines."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    terminal = Console(file=io.StringIO(), force_terminal=True)
    with show_progress(terminal), show_progress(terminal) as second:
        second(Phase("trials"))
    assert caplog.messages == ["optimize: trials"]
    with show_progress(terminal) as again:
        again(Phase("trials"))
    assert len(caplog.messages) == 1
