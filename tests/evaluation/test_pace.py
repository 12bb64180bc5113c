import pytest

from po_optimizer.evaluation import pace
from po_optimizer.evaluation.pace import MOST_LINES, Pace
from tests.evaluation.scripted import record

MANY = 20_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands at its last entry, in seconds."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[-1])
    return now


def _told(
    caplog: pytest.LogCaptureFixture, n: int, clock: list[float], seconds: float
) -> list[str]:
    with caplog.at_level("INFO", logger="po_optimizer.evaluation"):
        mine = Pace("evaluate baseline", n)
        for index in range(n):
            clock.append(clock[-1] + seconds)
            mine.log(record(index, None if index == 1 else 0.5))
    return [one.getMessage() for one in caplog.records]


def test_small_evaluation_has_a_line_an_example(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    """Status and score of each are worth a line as long as they are few."""
    lines = _told(caplog, MOST_LINES, clock, 1.0)
    assert len(lines) == MOST_LINES
    assert (
        lines[1]
        == "evaluate baseline: example 2 of 200, E1 unscored, score=none, 0.0 s"
    )


def test_large_evaluation_has_a_line_now_and_then(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    """20,000 fast examples are a few lines, the last of them complete."""
    lines = _told(caplog, MANY, clock, 0.01)
    assert 200 / pace.SECONDS <= len(lines) <= 200 / pace.SECONDS + 1
    assert lines[-1].startswith(
        "evaluate baseline: 20000 of 20000 examples, 0 failed, 1 unscored, 0.01 s per"
    )


def test_pace_is_that_of_the_last_examples(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    """After a restart the kept answers, which take no time, do not promise too much."""
    mine = Pace("evaluate", 1000)
    with caplog.at_level("INFO", logger="po_optimizer.evaluation"):
        for index in range(1000):
            clock.append(clock[-1] + (0.0 if index < 500 else 15.0))
            mine.log(record(index, 0.5))
    second = caplog.records[1].getMessage()
    assert second.startswith("evaluate: 504 of 1000 examples")
    assert "15.00 s per example, about 124 minutes left" in second
