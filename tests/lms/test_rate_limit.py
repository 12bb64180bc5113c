"""No minute holds more requests or tokens than the provider allows."""

import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import dspy
import pytest
from dspy.lm15 import Config, Message, Request

from po_optimizer.lms import (
    CallRow,
    Ledger,
    LedgerWriteFailed,
    StopRun,
    make_lm,
    meter,
    rate_limit,
    use_lm,
)
from po_optimizer.lms.rate_limit import WINDOW_SECONDS, RateLimit
from po_optimizer.params import LMParams
from tests.scripted import fixed_fields, scripted_lm
from tests.servers.wire import RATE_SECONDS, serving

ANSWER = fixed_fields(answer="42")


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.time = 1000.0
        self.slept = 0.0

    def now(self):
        """The time."""
        return self.time

    def sleep(self, seconds):
        """Time passes."""
        assert 0 < seconds <= 1
        self.time += seconds
        self.slept += seconds


@pytest.fixture
def clock():
    """A clock of a test's own."""
    return Clock()


def limit(folder, clock, requests=None, tokens=None):
    """A limit on the test's clock; each stands for a process."""
    ledger = Ledger(folder / "ledger.sqlite")
    known = {"requests": requests, "tokens": tokens}
    return RateLimit(ledger, **known, now=clock.now, sleep=clock.sleep)


def request(characters=3, most=10):
    """A request of about a third of so many tokens, with a limit for its answer."""
    message = Message.user("x" * characters)
    return Request(model="m", messages=(message,), config=Config(max_tokens=most))


def allow():
    """A check that has nothing against it."""


def times(limited, clock, n, taken=0, **size):
    """When each of n attempts passes; each settles for the tokens that are given."""
    passed = []
    for _ in range(n):
        turn = limited.take_turn(request(**size), allow)
        passed.append(clock.time)
        if taken:
            limited.settle(turn, taken)
    return passed


def most_in_a_minute(passed):
    """The most attempts that any 60 seconds hold."""
    return max(sum(start <= one < start + 60 for one in passed) for start in passed)


def test_requests_wait_once_a_minute_is_full(tmp_path, clock):
    """The first pass at once; no minute holds more; the pace is kept up."""
    passed = times(limit(tmp_path, clock, requests=5), clock, 16)
    assert passed[4] == 1000.0
    assert most_in_a_minute(passed) == 5
    assert passed[-1] == pytest.approx(1000 + 3 * WINDOW_SECONDS, abs=0.1)


def test_two_processes_keep_one_limit(tmp_path, clock):
    """Both read what was sent in the ledger's file."""
    one, two = (limit(tmp_path, clock, requests=4) for _ in range(2))
    passed = []
    for _ in range(4):
        passed += times(one, clock, 1) + times(two, clock, 1)
    assert most_in_a_minute(passed) == 4
    assert passed[3] == 1000.0


def test_tokens_that_an_answer_did_not_take_are_free(tmp_path, clock):
    """100 of them a minute, 25 a request in truth: four pass at once."""
    limited = limit(tmp_path, clock, tokens=100)
    passed = times(limited, clock, 5, taken=25, most=20)
    assert passed[3] == 1000.0
    assert passed[4] == pytest.approx(1000 + WINDOW_SECONDS, abs=0.1)


def test_tokens_in_flight_are_reserved(tmp_path, clock):
    """Before an answer tells, a request counts with all that it may take."""
    limited = limit(tmp_path, clock, tokens=100)
    passed = times(limited, clock, 3, characters=30, most=30)
    assert passed[1] == 1000.0
    assert passed[2] > 1000 + 60


def test_answers_that_were_longer_than_thought_are_counted(tmp_path, clock):
    """The next one waits for the excess."""
    limited = limit(tmp_path, clock, tokens=100)
    assert times(limited, clock, 2, taken=95, most=10)[1] > 1000 + 60


def test_usual_length_of_answers_is_learned(tmp_path, clock):
    """With answers in the ledger, lm.max_tokens is no longer what is reserved."""
    limited = limit(tmp_path, clock, tokens=1000)
    call = {"run_id": "r", "stage": "s", "lm": "m", "paid": True, "seconds": 1.0}
    for number in range(20):
        length = 900 if number == 3 else 20
        row = CallRow(started="2026-01-01", completion_tokens=length, **call)
        limited._ledger.record(row)
    assert times(limited, clock, 10, most=990)[-1] == 1000.0


def test_request_above_the_limit_goes_alone(tmp_path, clock):
    """It would otherwise wait for ever."""
    limited = limit(tmp_path, clock, tokens=50)
    first, second = times(limited, clock, 2, most=5000)
    assert (first, second > first + 60) == (1000.0, True)


def test_every_language_and_the_schema_are_estimated_high():
    """A character of Chinese is about a token, and so are three of English."""
    chinese = Request(model="m", messages=(Message.user("产品愿景" * 25),))
    assert rate_limit._prompt_tokens(chinese) >= 100
    schema = {"type": "json_schema", "name": "n", "schema": {"x": "y" * 300}}
    config = Config(response_format=schema)
    typed = Request(model="m", messages=(Message.user("?"),), config=config)
    assert rate_limit._prompt_tokens(typed) >= 100


def test_clock_that_was_put_back_blocks_nobody(tmp_path, clock):
    """Turns of a far future are forgotten."""
    limited = limit(tmp_path, clock, requests=1)
    limited.take_turn(request(), allow)
    clock.time -= 3600
    limited.take_turn(request(), allow)
    assert clock.slept == 0


def test_stop_ends_the_wait_and_takes_no_turn(tmp_path, clock):
    """A budget or Ctrl-C is heard within a second."""
    limited = limit(tmp_path, clock, requests=1)
    limited.take_turn(request(), allow)
    looks = []

    def check():
        looks.append(clock.time)
        if len(looks) == 4:
            raise StopRun("enough")

    with pytest.raises(StopRun, match="enough"):
        limited.take_turn(request(), check)
    assert clock.slept == pytest.approx(3)
    with limited._table() as table:
        assert table.execute("SELECT count(*) FROM turns").fetchone() == (1,)


def test_wait_is_said_once(tmp_path, clock, caplog):
    """The line names the settings; twenty waiting calls are one line."""
    with caplog.at_level(logging.INFO, logger=rate_limit.__name__):
        times(limit(tmp_path, clock, requests=1), clock, 20)
    (record,) = caplog.records
    assert "lm.requests_per_minute=1" in record.getMessage()


def test_ledger_that_cannot_be_written_stops_the_run(tmp_path, clock):
    """Without the table no limit could be kept."""
    limited = limit(tmp_path, clock, requests=1)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("DROP TABLE turns")
    with pytest.raises(LedgerWriteFailed, match=r"ledger\.sqlite.*turns"):
        limited.take_turn(request(), allow)


def test_seconds_in_the_ledger_are_the_lms_own(tmp_path, clock, monkeypatch):
    """The wait for a turn is not part of them."""
    monkeypatch.setattr(meter.time, "perf_counter", clock.now)
    lm = scripted_lm(ANSWER, tmp_path)
    lm.engine._limit = limit(tmp_path, clock, requests=1)
    lm("one")
    lm("two")
    assert clock.slept > 60
    assert [row.seconds for row in lm.meter.ledger.rows()] == [0, 0]


@pytest.fixture
def quick(monkeypatch):
    """A minute of 1.5 s, twice the server's: a busy machine delays requests."""
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 2 * RATE_SECONDS)


def ask(folder, rate, n, **params):
    """N questions from 8 threads to a server that refuses what is above its rate."""
    with serving(ANSWER) as server:
        server.rate = rate
        known = {"provider": "openai", "model": "m", "api_base": server.address}
        lm = make_lm(LMParams(**known, **params), folder, run_id="r")

        def answer(number):
            with use_lm(lm, stage="test"):
                return dspy.Predict("question -> answer")(question=f"{number}?").answer

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(answer, range(n)))
        return server.refused, answers, lm.meter.ledger.rows()


@pytest.mark.parametrize("what", ["requests", "tokens"])
def test_server_with_a_rate_never_refuses(tmp_path, quick, what):
    """No 429 is seen, and nothing is paid twice."""
    most = {"requests": 6, "tokens": 1500}[what]
    params = {f"{what}_per_minute": most, "max_tokens": 100}
    refused, answers, rows = ask(tmp_path, {what: most}, 20, **params)
    assert refused == 0
    assert answers == ["42"] * 20
    assert [row.error for row in rows] == [None] * 20


def test_server_with_a_rate_refuses_without_the_limit(tmp_path):
    """The test above tests something."""
    refused, _, _ = ask(tmp_path, {"requests": 6}, 9, num_retries=6)
    assert refused > 0
