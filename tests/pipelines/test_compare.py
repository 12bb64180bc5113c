"""The nodes of compare on what a run leaves."""

import pytest

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.ranking import FinishedRun
from po_optimizer.lms.usage import Usage
from po_optimizer.pipelines.compare import nodes
from tests.evaluation.scripted import report

CALLS = {
    "paid": 10,
    "prompt_tokens": 9000,
    "completion_tokens": 1000,
    "cost_usd": 0.05,
    "seconds": 50.0,
}
SEARCH = {
    "optimizer": "miprov2",
    "seed": 9,
    "best": {"score": 0.7},
    "spent": {"paid": 20},
    "instructions": ["one"],
    "forecast": {"num_threads": 1},
    "ended": "completed",
    "seconds": 777.0,
}


def finished(**fields):
    """One LM's results."""
    given = {
        "name": "ollama-granite4",
        "lm": "ollama-granite4",
        "report": report([0.2, 0.4, 0.3], [0.5, 0.6, 0.4]),
        "decision": "keep_baseline",
        "search": SEARCH,
        "usage": {"optimize": CALLS, "evaluate optimized": CALLS},
    }
    return FinishedRun.model_validate({**given, **fields})


def ranked(**fields):
    """The ranking's only run."""
    return nodes.rank_runs([finished(**fields)])["runs"][0]


def test_no_runs_say_what_to_run():
    """An empty ranking is a mistake, not a result."""
    with pytest.raises(PoOptimizerError, match="kedro run --pipeline=evaluate"):
        nodes.rank_runs([])


def test_costs_are_those_of_one_example():
    """Of the calls that were paid, as many as were counted, else one a predictor."""
    run = ranked()
    assert run["tokens_per_example"] == 1000
    assert run["cost_per_1000"] == pytest.approx(5.0)
    two = ranked(search={**SEARCH, "instructions": ["one", "two"]})
    assert two["tokens_per_example"] == 2000
    counted = report([0.2] * 3, [0.5] * 3, usage={"optimized": Usage(cached=12)})
    assert ranked(report=counted)["tokens_per_example"] == 4000


def test_unknown_stays_unknown():
    """No ledger, no cost; an unknown price is null."""
    bare = ranked(usage={}, decision=None)
    assert bare["tokens_per_example"] is None
    assert bare["decision"] is None
    free = {"paid": 10, "cost_usd": None, "seconds": 50.0}
    run = ranked(usage={"evaluate baseline": free})
    assert run["cost_per_1000"] is None
    assert run["tokens_per_example"] is None
    assert run["seconds_per_example"] == 5.0


def test_page_and_table_are_written_from_the_same_runs():
    """Both name the LM."""
    shown = nodes.show_ranking(nodes.rank_runs([finished()]))
    table, page = shown.pop("ranking_table"), shown.pop("ranking_page")
    assert "ollama-granite4" in table
    assert "ollama-granite4" in page
    assert "src=" not in page.split("<script>")[0]
    assert set(shown) == {"ranking_figure"}
