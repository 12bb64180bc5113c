import io
import logging
import time
from contextlib import nullcontext

import pytest
from rich.console import Console

from po_optimizer.console import live
from po_optimizer.console.live import (
    OptimizationView,
    StageBar,
    minutes,
    show,
    show_progress,
    watch,
)
from po_optimizer.lms.usage import Usage
from po_optimizer.optimization.forecast import forecast
from po_optimizer.optimization.report import (
    Ended,
    Phase,
    Scored,
    Started,
    log_event,
)
from tests.evaluation.scripted import record
from tests.optimization import world
from tests.optimization.test_journal import trial

SPENT = Usage(paid=30, cached=2, prompt_tokens=900, cost_usd=None, seconds=3.0)
EVENTS = [
    Started("miprov2", trials=4, resumed=1, forecast=None, spent=lambda: SPENT),
    Phase("trials"),
    Scored(trial(1, 0.25), replayed=True),
    Ended("completed", 0.25, 12.0),
]


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 100 columns."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    return Console(file=io.StringIO(), force_terminal=True, width=100)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands at its last entry, in seconds."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[-1])
    return now


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


def test_a_terminal_gets_a_live_display(terminal):
    """Trial k of N, best score, calls, tokens and cost."""
    with show_progress(terminal) as progress:
        assert isinstance(progress, OptimizationView)
        for event in EVENTS[:-1]:
            progress(event)
        terminal.print(progress)
    shown = terminal.file.getvalue()
    for word in ("trials", "1 of 4", "0.2500", "30 LM calls", "cost unknown"):
        assert word in shown


def test_time_left_follows_the_calls(tmp_path, clock):
    """Before a tenth is done the forecast tells, afterwards the calls so far."""
    paid = [0]
    expected = forecast(world.job(world.lm(tmp_path, seconds_per_example=60.0)))
    view = OptimizationView()
    view(Started("gepa", 2, 0, forecast=expected, spent=lambda: Usage(paid=paid[0])))
    console = Console(file=io.StringIO(), width=100)
    clock.append(2.0)
    console.print(view)
    assert "at most" in console.file.getvalue()
    paid[0] = expected.calls.upper // 2
    clock.append(100.0)
    console.print(view)
    assert "about 2 min left" in console.file.getvalue()


def test_a_bar_counts_steps_that_took_time(clock):
    """After a restart the kept steps, which take no time, do not promise too much."""
    bar = StageBar("evaluate", 10)
    assert bar.time_left() == "since 0 s"
    for _ in range(4):
        bar.advance(0.01)
    clock.append(15.0)
    bar.advance(14.0)
    assert bar.time_left() == "about 70 s left"
    bar.done = 10
    assert bar.time_left() == ""


def test_resumed_evaluation_promises_no_time_by_kept_answers(monkeypatch, clock):
    """They come at once, and those that are left do not."""
    bars = []
    monkeypatch.setattr(live, "show", lambda bar: bars.append(bar) or nullcontext(True))
    seconds = [0.0] * 50 + [20.0] * 5
    made = (record(i, 0.5, seconds=took) for i, took in enumerate(seconds))
    for passed in watch(made, "evaluate", 100):
        clock.append(clock[-1] + passed.seconds)
    assert bars[0].time_left() == "about 15 min left"


def test_a_bar_of_unknown_steps_goes_by_the_clock(clock):
    """It says how long it may take yet, then how long it has taken."""
    bar, console = (
        StageBar("preflight", seconds=75.0),
        Console(file=io.StringIO(), width=80),
    )
    clock.append(15.0)
    console.print(bar)
    clock.append(80.0)
    console.print(bar)
    shown = console.file.getvalue()
    assert "at most 60 s left" in shown
    assert "since 80 s" in shown


def test_small_evaluation_is_one_line(caplog, clock):
    """How many failed and how long it took; a line for each is for `-v`."""
    caplog.set_level(logging.INFO)
    scores = (None, 0.5, 0.25)
    assert len(list(watch(iter_records(scores), "evaluate baseline", 3))) == 3
    assert caplog.messages == ["evaluate baseline: 3 examples, 1 unscored, 0 s"]
    caplog.set_level(logging.DEBUG, "po_optimizer.console.live")
    list(watch(iter_records(scores), "evaluate baseline", 3))
    assert caplog.messages[2] == (
        "evaluate baseline: example 2 of 3, E1 ok, score=0.500, 0.0 s"
    )


@pytest.fixture
def lines(caplog, monkeypatch):
    """Waits for so many log lines, of which a wait makes one each 10 ms; gives them."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(live, "SECONDS", 0.01)

    def await_lines(n):
        deadline = time.time() + 20
        while len(caplog.messages) < n and time.time() < deadline:
            time.sleep(0.01)
        return caplog.messages

    return await_lines


def test_long_wait_has_a_line_now_and_then(lines, caplog):
    """Also while no example comes, as from an LM that hangs; none after its end."""
    records = watch(iter_records([0.5, None, 0.5]), "evaluate", 3)
    next(records)
    next(records)
    assert "evaluate: 2 of 3, 1 unscored, about 0 s left" in lines(30)
    records.close()
    n = len(caplog.messages)
    time.sleep(0.05)
    assert len(caplog.messages) == n


def test_long_trial_says_what_is_spent(lines):
    """Calls, tokens and cost so far stand in the line of a wait."""
    with show_progress(Console(file=io.StringIO())) as progress:
        progress(EVENTS[0])
        line = lines(3)[-1]
    assert line.startswith("optimize: 0 of 4, 30 LM calls, 900 tokens, cost unknown")


def test_dumb_terminal_gets_lines(terminal, monkeypatch):
    """Rich draws nothing there: a wait would be silent."""
    monkeypatch.setenv("TERM", "dumb")
    with show(StageBar("a", 1), terminal) as shown:
        assert not shown


def test_second_stage_at_a_time_logs(terminal):
    """A terminal has one live display, and has it again afterwards."""
    first, second = show(StageBar("a", 1), terminal), show(StageBar("b", 1), terminal)
    with first as shown, second as shown_too:
        assert (shown, shown_too) == (True, False)
    with show(StageBar("c", 1), terminal) as again:
        assert again


def test_durations_are_read_at_a_glance():
    """Seconds up to a minute and a half, minutes, then hours."""
    assert [minutes(s) for s in (42, 600, 9000)] == ["42 s", "10 min", "2.5 h"]


def iter_records(scores):
    """Records with these scores, made as they are asked for."""
    yield from (record(i, score) for i, score in enumerate(scores))
