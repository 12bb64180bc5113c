import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from po_optimizer.errors import PoOptimizerError
from po_optimizer.optimization.journal import Journal, Trial, read_journal, sole_run

unit = st.floats(0, 1, allow_nan=False)


def trial(number, score=0.5, **changes):
    """A full evaluation."""
    told = {
        "trial": number,
        "kind": "full_eval",
        "instruction": [0],
        "demo_set": [1],
        "score": score,
        "n": 8,
        "n_failed": 0,
        "best": score,
        "calls_paid": 8,
        "calls_cached": 0,
        "seconds": 1.0,
    }
    return Trial(**{**told, **changes})


def test_a_trial_is_on_disk_when_it_is_added(tmp_path):
    """The file holds each trial before the next one begins."""
    journal = Journal(tmp_path / "trials.jsonl", {}, resume=False)
    for number in (1, 2):
        journal.add(trial(number))
        assert len(read_journal(tmp_path / "trials.jsonl")) == number


@settings(max_examples=25, deadline=None)
@given(scores=st.lists(unit, min_size=1, max_size=8), cut=st.integers(0, 200))
def test_replay_after_any_cut_gives_the_same_trials(tmp_path_factory, scores, cut):
    """A file cut at any byte is continued to the same content."""
    path = tmp_path_factory.mktemp("journal") / "trials.jsonl"
    trials = [trial(i + 1, score) for i, score in enumerate(scores)]
    journal = Journal(path, {}, resume=False)
    for each in trials:
        journal.add(each)
    path.write_bytes(path.read_bytes()[:-cut] if cut else path.read_bytes())
    resumed = Journal(path, {}, resume=True)
    for each in trials:
        resumed.add(each)
    assert read_journal(path) == trials


def test_replay_keeps_the_first_runs_effort(tmp_path):
    """What a replay costs does not replace what the trial cost."""
    path = tmp_path / "trials.jsonl"
    Journal(path, {}, resume=False).add(trial(1))
    again = Journal(path, {}, resume=True).add(trial(1, calls_paid=0, calls_cached=8))
    assert again.calls_paid == 8
    assert read_journal(path) == [trial(1)]


def test_nothing_is_lost_while_a_replay_is_under_way(tmp_path):
    """A run killed during its replay leaves the later trials in the file."""
    path = tmp_path / "trials.jsonl"
    first = Journal(path, {}, resume=False)
    for number in (1, 2, 3):
        first.add(trial(number))
    Journal(path, {}, resume=True).add(trial(1))
    assert len(read_journal(path)) == 3


def test_a_replay_that_differs_replaces_the_rest(tmp_path):
    """From the first trial that differs, the new run's trials stand."""
    path = tmp_path / "trials.jsonl"
    first = Journal(path, {}, resume=False)
    for number in (1, 2, 3):
        first.add(trial(number))
    second = Journal(path, {}, resume=True)
    second.add(trial(1))
    second.add(trial(2, score=0.9))
    assert [t.score for t in read_journal(path)] == [0.5, 0.9]


def test_best_earlier_is_known_before_the_replay(tmp_path):
    """What is stored already is not replaced by an earlier best."""
    path = tmp_path / "trials.jsonl"
    assert Journal(path, {}, resume=True).best_earlier == -1.0
    Journal(path, {}, resume=False).add(trial(1, 0.7))
    assert Journal(path, {}, resume=True).best_earlier == 0.7


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe\n", b"\xe9t\xe9\n", b"\n", b"[1]\n", b"\x00" * 9 + b"\n"]
)
def test_damaged_line_ends_the_journal_and_is_said(tmp_path, caplog, damage):
    """Not a raw error: what follows is replayed from kept answers."""
    path = tmp_path / "trials.jsonl"
    first, second = (trial(n).model_dump_json().encode() + b"\n" for n in (1, 2))
    path.write_bytes(first + damage + second)
    assert [t.trial for t in read_journal(path)] == [1]
    assert "line 2 is no trial" in caplog.text


def test_journal_in_another_encoding_is_replayed(tmp_path):
    """As an editor of Windows may have saved it."""
    path = tmp_path / "trials.jsonl"
    path.write_bytes(trial(1).model_dump_json().encode("utf-16"))
    assert read_journal(path) == []


HOLD = """
import fcntl, sys
with open(sys.argv[1], "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_second_process_at_the_same_run_is_refused(tmp_path):
    """It would leave each trial twice; a killed process is in nobody's way."""
    path = tmp_path / "trials.jsonl"
    command = [sys.executable, "-c", HOLD, str(path.with_suffix(".lock"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as other:  # noqa: S603
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(PoOptimizerError, match="another process"), sole_run(path):
            pass
        other.kill()
    with sole_run(path):
        pass
    with sole_run(path):
        pass


def test_folder_that_cannot_hold_a_lock_is_left_to_the_journal(tmp_path):
    """Its own error says what is wrong."""
    (tmp_path / "file").write_text("")
    with sole_run(tmp_path / "file" / "trials.jsonl"):
        pass
