from hypothesis import given, settings
from hypothesis import strategies as st

from po_optimizer.optimization.journal import Journal, Trial, read_journal

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
    journal = Journal(tmp_path / "trials.jsonl", resume=False)
    for number in (1, 2):
        journal.add(trial(number))
        assert len(read_journal(tmp_path / "trials.jsonl")) == number


@settings(max_examples=25, deadline=None)
@given(scores=st.lists(unit, min_size=1, max_size=8), cut=st.integers(0, 200))
def test_replay_after_any_cut_gives_the_same_trials(tmp_path_factory, scores, cut):
    """A file cut at any byte is continued to the same content."""
    path = tmp_path_factory.mktemp("journal") / "trials.jsonl"
    trials = [trial(i + 1, score) for i, score in enumerate(scores)]
    journal = Journal(path, resume=False)
    for each in trials:
        journal.add(each)
    path.write_bytes(path.read_bytes()[:-cut] if cut else path.read_bytes())
    resumed = Journal(path, resume=True)
    for each in trials:
        resumed.add(each)
    assert read_journal(path) == trials


def test_replay_keeps_the_first_runs_effort(tmp_path):
    """What a replay costs does not replace what the trial cost."""
    path = tmp_path / "trials.jsonl"
    Journal(path, resume=False).add(trial(1))
    again = Journal(path, resume=True).add(trial(1, calls_paid=0, calls_cached=8))
    assert again.calls_paid == 8
    assert read_journal(path) == [trial(1)]


def test_nothing_is_lost_while_a_replay_is_under_way(tmp_path):
    """A run killed during its replay leaves the later trials in the file."""
    path = tmp_path / "trials.jsonl"
    first = Journal(path, resume=False)
    for number in (1, 2, 3):
        first.add(trial(number))
    Journal(path, resume=True).add(trial(1))
    assert len(read_journal(path)) == 3


def test_a_replay_that_differs_replaces_the_rest(tmp_path):
    """From the first trial that differs, the new run's trials stand."""
    path = tmp_path / "trials.jsonl"
    first = Journal(path, resume=False)
    for number in (1, 2, 3):
        first.add(trial(number))
    second = Journal(path, resume=True)
    second.add(trial(1))
    second.add(trial(2, score=0.9))
    assert [t.score for t in read_journal(path)] == [0.5, 0.9]


def test_best_earlier_is_known_before_the_replay(tmp_path):
    """What is stored already is not replaced by an earlier best."""
    path = tmp_path / "trials.jsonl"
    assert Journal(path, resume=True).best_earlier == -1.0
    Journal(path, resume=False).add(trial(1, 0.7))
    assert Journal(path, resume=True).best_earlier == 0.7
