"""The ledger: complete with threads, across copies, and after a killed process."""

import copy
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from po_optimizer.lms.ledger import CallRow, Ledger

WRITER = """
import sys
from po_optimizer.lms.ledger import CallRow, Ledger

ledger = Ledger(sys.argv[1])
number = 0
while True:
    number += 1
    ledger.record(CallRow(
        started="2026-01-01T00:00:00Z", run_id="r", stage="s", lm="m", paid=True,
        prompt_tokens=number, seconds=0.0,
    ))
    print(number, flush=True)
"""


def row(**changes):
    """A paid, successful call."""
    known = {
        "started": "2026-01-01T00:00:00.000+00:00",
        "run_id": "run",
        "stage": "optimize",
        "lm": "lm",
        "paid": True,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost_usd": 0.25,
        "seconds": 2.0,
    }
    return CallRow(**{**known, **changes})


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger in a folder that does not exist yet."""
    return Ledger(tmp_path / "deep" / "ledger.sqlite")


def test_row_comes_back_as_it_was_recorded(ledger):
    """Every field survives, None and bool included."""
    rows = [
        row(trial=3, optimization_id="o", error="Timeout: slow"),
        row(paid=False, prompt_tokens=None, completion_tokens=None, cost_usd=None),
    ]
    for one in rows:
        ledger.record(one)
    assert ledger.rows() == rows


def test_empty_ledger_totals_zero(ledger):
    """Nothing called costs nothing, and that is known."""
    totals = ledger.totals()
    assert (totals.paid, totals.cached, totals.failed) == (0, 0, 0)
    assert totals.cost_usd == 0.0


def test_totals_leave_cached_calls_out_of_tokens_and_seconds(ledger):
    """A cached answer is counted and costs nothing."""
    ledger.record(row())
    ledger.record(row(paid=False, seconds=9.0))
    totals = ledger.totals()
    assert (totals.paid, totals.cached) == (1, 1)
    assert (totals.prompt_tokens, totals.completion_tokens) == (10, 5)
    assert totals.seconds == 2.0
    assert totals.cost_usd == 0.25


def test_one_unknown_cost_makes_the_sum_unknown(ledger):
    """None is not zero dollars."""
    ledger.record(row())
    ledger.record(row(cost_usd=None))
    assert ledger.totals().cost_usd is None


def test_failed_call_without_cost_leaves_the_sum_known(ledger):
    """A call that ended in an error has no usage to price; it counts as paid."""
    ledger.record(row())
    ledger.record(row(cost_usd=None, error="Timeout"))
    totals = ledger.totals()
    assert (totals.paid, totals.failed, totals.cost_usd) == (2, 1, 0.25)


@pytest.mark.parametrize(
    "wanted", [{"run_id": "b"}, {"stage": "evaluate"}, {"optimization_id": "o2"}]
)
def test_filters_keep_the_rows_that_match(ledger, wanted):
    """Rows and totals are filtered by each of the three keys alike."""
    ledger.record(row(run_id="a", optimization_id="o1"))
    ledger.record(row(run_id="b", stage="evaluate", optimization_id="o2"))
    assert len(ledger.rows(**wanted)) == 1
    assert ledger.totals(**wanted).paid == 1


def test_filters_are_combined(ledger):
    """Two filters must both match."""
    ledger.record(row(run_id="a", stage="x"))
    ledger.record(row(run_id="a", stage="y"))
    assert ledger.totals(run_id="a", stage="y").paid == 1
    assert ledger.totals(run_id="b", stage="y").paid == 0


def test_stages_come_in_the_order_in_which_they_began(ledger):
    """Stages of a run are ordered by their first call, not by name or by last call."""
    for stage in ("preflight", "optimize", "evaluate", "optimize"):
        ledger.record(row(stage=stage))
    ledger.record(row(run_id="other", stage="integrate"))
    stages = ledger.stages("run")
    assert list(stages) == ["preflight", "optimize", "evaluate"]
    assert stages["optimize"].paid == 2


def test_eight_threads_lose_no_row(ledger):
    """8 threads x 50 rows are 400 rows."""

    def write(thread):
        for number in range(50):
            ledger.record(row(stage=f"t{thread}", prompt_tokens=number))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.totals().paid == 400
    assert all(ledger.totals(stage=f"t{n}").paid == 50 for n in range(8))


def test_two_ledgers_write_into_one_file(ledger):
    """Another process or LM may hold the same file open."""
    other = Ledger(ledger.path)
    ledger.record(row())
    other.record(row())
    assert ledger.totals() == other.totals()
    assert ledger.totals().paid == 2


def test_deep_copy_is_the_same_ledger(ledger):
    """A copied LM writes into the same file."""
    assert copy.deepcopy({"ledger": ledger})["ledger"] is ledger


def test_killed_process_keeps_every_row_that_it_reported(tmp_path):
    """A kill -9 loses nothing that `record` returned from, and the file opens again."""
    path = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-c", WRITER, str(path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    reported = [writer.stdout.readline() for _ in range(200)]
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate()[0].split("\n")[:-1]  # the last may be half a line
    last = int(rest[-1] if rest else reported[-1])
    recorded = [one.prompt_tokens for one in Ledger(path).rows()]
    assert recorded == list(range(1, len(recorded) + 1))
    assert last <= len(recorded) <= last + 1


def test_all_who_open_a_new_ledger_at_once_have_it(tmp_path):
    """8 at a time: the one that makes it does not lock the others out."""
    barrier = threading.Barrier(8, timeout=20)

    def opened(number):
        barrier.wait()
        return Ledger(tmp_path / "new.sqlite").totals().paid

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(opened, range(8))) == [0] * 8
