"""The comparison's nodes on what a run leaves."""

import pytest

from po_optimizer.errors import PoOptimizerError
from po_optimizer.params import OptimizeParams
from po_optimizer.pipelines.compare import nodes
from tests.evaluation.scripted import report

CALLS = {
    "paid": 10,
    "failed": 0,
    "prompt_tokens": 9000,
    "completion_tokens": 1000,
    "cost_usd": 0.05,
    "seconds": 50.0,
}
SEARCH = {
    "instructions": ["one"],
    "forecast": {"num_threads": 1},
    "ended": "completed",
    "seconds": 777.0,
}


def run(**fields):
    """One LM's results."""
    made = report([0.2, 0.4, 0.3], [0.5, 0.6, 0.4]).model_dump(mode="json")
    given = {
        "lm": "ollama-granite4",
        "program_of": None,
        "score_report": made,
        "promotion": {"decision": "keep_baseline"},
        "optimization_report": SEARCH,
        "splits": {"trainset": 38, "valset": 22},
        "calls": {"optimize": CALLS, "evaluate optimized": CALLS},
    }
    return {**given, **fields}


def row_of(**fields):
    """The comparison's only row."""
    return nodes.compare_runs([run(**fields)], OptimizeParams())["rows"][0]


def test_no_runs_say_what_to_run():
    """An empty comparison is a mistake, not a result."""
    with pytest.raises(PoOptimizerError, match="kedro run --pipeline=evaluate"):
        nodes.compare_runs([], OptimizeParams())


def test_costs_are_those_of_one_example():
    """Of the calls that were paid; a program of two predictors makes two calls."""
    row = row_of()
    assert row["tokens_per_example"] == 1000
    assert row["cost_per_1000"] == pytest.approx(5.0)
    two = row_of(optimization_report={**SEARCH, "instructions": ["one", "two"]})
    assert two["tokens_per_example"] == 2000


def test_optimization_of_that_size_is_measured_the_other_forecast():
    """60 examples were run; 142 are calls by formula at 5 s each."""
    measured, forecast = row_of()["durations"]
    assert (measured["examples"], measured["basis"]) == (60, "measured")
    assert measured["seconds"] == 777.0
    assert forecast["basis"] == "forecast"
    assert forecast["seconds"] > 142 * 5.0


def test_optimization_that_was_stopped_is_no_measurement():
    """A budget that was reached says nothing of the whole."""
    row = row_of(optimization_report={**SEARCH, "ended": "budget"})
    assert {took["basis"] for took in row["durations"]} == {"forecast"}


def test_unknown_stays_unknown():
    """No ledger, no cost; an unknown price is null."""
    bare = row_of(calls={}, promotion=None)
    assert bare["tokens_per_example"] is None
    assert bare["durations"] == []
    assert bare["decision"] is None
    free = {**CALLS, "cost_usd": None, "prompt_tokens": 0, "completion_tokens": 0}
    row = row_of(calls={"evaluate baseline": free})
    assert row["cost_per_1000"] is None
    assert row["tokens_per_example"] is None
    assert row["seconds_per_example"] == 5.0


def test_original_figures_stand_beside_as_quoted():
    """They are not measured here."""
    assert row_of()["quoted_seconds"] == "90-110"


def test_page_and_table_are_written_from_the_same_rows():
    """Both name the LM; the figures have it too."""
    comparison = nodes.compare_runs([run()], OptimizeParams())
    table, page = nodes.write_comparison(comparison)
    assert "ollama-granite4" in table
    assert "ollama-granite4" in page
    figures = nodes.draw_comparison(comparison)
    assert set(figures) == {"comparison_figure", "price_figure"}
