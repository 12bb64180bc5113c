"""A ranking as table, figures and page."""

import csv
import io

import pytest

from po_optimizer.evaluation.ranking import rank
from po_optimizer.lms.usage import Usage
from po_optimizer.reporting.ranking_page import (
    ranking_figure,
    ranking_page,
    ranking_table,
)
from tests.evaluation.test_ranking import BASELINE, better, finished

PAID = Usage(paid=10, seconds=100.0, cost_usd=0.0)


@pytest.fixture
def ranking():
    """One run whose calls are known, one without, that of another LM's program."""
    runs = [
        finished("high", better(0.3), usage={"evaluate optimized": PAID}),
        finished("low", BASELINE, program_of="small<b>"),
    ]
    return rank(runs)


def test_table_leaves_the_unknown_empty(ranking):
    """Unknown is not zero."""
    high, low = csv.DictReader(io.StringIO(ranking_table(ranking)))
    assert high["usd_per_1000_examples"] == "0.0"
    assert low["usd_per_1000_examples"] == ""


def test_figure_names_every_run_with_n(ranking):
    """A row each, the best at the top."""
    figure = ranking_figure(ranking)
    assert list(figure.layout.yaxis.ticktext) == ["high<br>n=10", "low<br>n=10"]
    assert "95%" in figure.layout.xaxis.title.text


def test_page_says_whose_program_it_is(ranking):
    """What a folder is called is escaped."""
    assert "program of small&lt;b&gt;" in ranking_page(ranking)
