"""LMs side by side: ranked where they may be, and what they cost."""

import csv
import io

import pytest

from po_optimizer.evaluation.comparison import (
    Duration,
    Row,
    compare_lms,
    comparison_figure,
    comparison_table,
    price_figure,
)
from po_optimizer.evaluation.score_report import Origin
from po_optimizer.reporting.page import comparison_page
from tests.evaluation.scripted import report

HERE = Origin(testset="a" * 64, metric="m {}", program="p")
ELSEWHERE = HERE.model_copy(update={"testset": "b" * 64})
LOW = [0.2, 0.25, 0.3, 0.2, 0.35, 0.3, 0.25, 0.2]
HIGH = [0.8, 0.85, 0.9, 0.8, 0.95, 0.9, 0.85, 0.8]


def row(lm, scores, **fields):
    """One LM whose optimized program has these scores."""
    made = report(LOW, scores)
    given = {
        "program_of": None,
        "origin": HERE,
        "seconds_per_example": 10.0,
        "quoted_seconds": None,
        "tokens_per_example": 2500.0,
        "cost_per_1000": 0.0,
        "durations": [Duration(examples=60, seconds=600.0, basis="forecast")],
        "decision": "promote",
    }
    return Row(
        lm=lm,
        baseline=made.baseline.score,
        optimized=made.optimized.score,
        baseline_rubric=made.baseline.rubric,
        rubric=made.optimized.rubric,
        uplift=made.uplift.score,
        **{**given, **fields},
    )


def test_best_objective_comes_first():
    """The order is that of the optimized programs' means."""
    found = compare_lms([row("low", LOW), row("high", HIGH)])
    assert [each.lm for each in found.rows] == ["high", "low"]
    assert not found.rows[1].tied
    assert "Highest objective: high" in found.sentences[0]


def test_overlapping_intervals_are_a_tie():
    """A rank without a difference is said to be none."""
    found = compare_lms([row("one", HIGH), row("two", [*HIGH[:-1], 0.79])])
    assert found.rows[1].tied
    assert "do not tell it from: two" in found.sentences[1]


@pytest.mark.parametrize("origin", [ELSEWHERE, None])
def test_other_testset_is_shown_but_not_ranked(origin):
    """A higher mean on other examples says nothing."""
    rows = [row("a", LOW), row("b", LOW), row("apart", HIGH, origin=origin)]
    found = compare_lms(rows)
    assert [each.comparable for each in found.rows] == [True, True, False]
    assert found.rows[-1].lm == "apart"
    assert "Not ranked" in found.sentences[-1]


def test_reports_without_an_origin_are_not_ranked_among_each_other():
    """What was not recorded cannot be the same."""
    found = compare_lms([row("a", LOW, origin=None), row("b", HIGH, origin=None)])
    assert not any(each.comparable for each in found.rows)
    assert len(found.sentences) == 1


def test_table_leaves_the_unknown_empty():
    """Unknown is not zero."""
    rows = [
        row("known", HIGH),
        row("unknown", LOW, cost_per_1000=None, seconds_per_example=None, durations=[]),
    ]
    lines = list(csv.DictReader(io.StringIO(comparison_table(compare_lms(rows)))))
    assert lines[0]["usd_per_1000_examples"] == "0.0"
    assert lines[1]["usd_per_1000_examples"] == ""
    assert lines[1]["optimize_60_seconds"] == ""
    assert lines[0]["optimize_60_basis"] == "forecast"


def test_program_of_another_lm_has_a_row_that_says_so():
    """It is not taken for the LM's own."""
    found = compare_lms([row("big", HIGH, program_of="small<b>"), row("big", LOW)])
    assert found.rows[0].name == "big (program of small<b>)"
    assert "program of small&lt;b&gt;" in comparison_page(found)
    assert "small&lt;b&gt;" in comparison_figure(found).layout.yaxis.ticktext[0]


def test_figure_against_seconds_leaves_out_what_has_none():
    """No LM stands at 0 seconds because nothing was paid."""
    rows = [row("a", HIGH), row("b", LOW, seconds_per_example=None)]
    assert [trace.name for trace in price_figure(compare_lms(rows)).data] == ["a"]


def test_page_shows_quoted_seconds_as_quoted():
    """The original project's figures are not taken for measurements."""
    page = comparison_page(compare_lms([row("a", HIGH, quoted_seconds="90-110")]))
    assert "quoted: 90-110" in page
    assert "forecast" in page
    assert "src=" not in page.split("<script>")[0]
