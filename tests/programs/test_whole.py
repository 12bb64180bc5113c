"""Programs as people have them, from preflight to a fresh process that scores them."""

from itertools import product

import pytest

from tests.programs.case import OPTIMIZERS, run_whole
from tests.programs.cases import CASES

QUICK = [
    ("module_level_object", "miprov2", 8),
    ("n_answers", "miprov2", 1),
    ("history", "bootstrap_random_search", 1),
    ("own_threads", "bootstrap_random_search", 8),
    ("react", "bootstrap_random_search", 8),
    ("refine", "miprov2", 8),
    ("async_only", "bootstrap_random_search", 1),
    ("literals_five_arguments", "gepa", 8),
    ("returns_model", "miprov2", 8),
    ("image", "bootstrap_random_search", 1),
    ("raises_on_some", "gepa", 1),
    ("second_lm", "miprov2", 1),
    ("judge_of_its_own", "gepa", 8),
]
EVERY = [run for run in product(CASES, OPTIMIZERS, (1, 8)) if run not in QUICK]


def _runs():
    for run in QUICK:
        yield pytest.param(run, id="-".join(map(str, run)))
    for run in EVERY:
        yield pytest.param(
            run, id="-".join(map(str, run)), marks=pytest.mark.exhaustive
        )


@pytest.fixture(scope="module", params=_runs())
def outcome(request, server, tmp_path_factory):
    """One whole run."""
    name, optimizer, threads = request.param
    folder = tmp_path_factory.mktemp("run")
    return run_whole(CASES[name], optimizer, threads, server, folder)


def test_loaded_program_scores_as_in_memory(outcome):
    """In a fresh process, by the project, as by bare DSPy where it was optimized."""
    assert outcome.loaded == outcome.in_memory, outcome.statuses


def test_ledger_counts_what_the_server_counted(outcome):
    """Every paid call of every LM of the run, a judge's too."""
    assert outcome.ledger_calls == outcome.server_calls


def test_spent_calls_are_within_the_forecast(outcome):
    """Of agents and of what asks several times, too."""
    calls = outcome.forecast.calls
    assert calls.lower <= outcome.spent_calls <= calls.upper


def test_best_is_no_worse_than_the_baseline(outcome):
    """On the valset, as the report has it."""
    assert outcome.best >= outcome.baseline
