import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from po_optimizer.evaluation.paired_scores import score_pairs
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.evaluation.promotion import decide
from po_optimizer.evaluation.score_report import ScoreReport, Selection
from po_optimizer.lms.usage import Usage
from po_optimizer.params.evaluate import PromotionOverride, PromotionParams
from po_optimizer.reporting.examples import choose_cases
from po_optimizer.reporting.figures import report_figures
from po_optimizer.reporting.page import render_report
from po_optimizer.reporting.verdict import finding, headline, next_step
from tests.evaluation.scripted import QUICK, record, records, report
from tests.reporting.test_figures import BASE, TRIALS

LOW = [0.6, 0.7, 0.65, 0.72, 0.58, 0.66, 0.61, 0.69]
GOOD = [0.93, 0.95, 0.9, 0.96, 0.92, 0.94, 0.91, 0.97]
BAD = "</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Collects tags and ids of a page; scripts and styles count as text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remembers a tag."""
        self.tags.append((tag, dict(attrs)))

    def ids(self) -> set[str | None]:
        """The ids on the page."""
        return {attrs.get("id") for _, attrs in self.tags}


def _page(
    before: list[PredictionRecord] | None = None,
    after: list[PredictionRecord] | None = None,
    **context: Any,
) -> str:
    before = before or records(LOW, "baseline")
    after = after or records(GOOD, "optimized")
    scores = score_pairs(
        before, after, QUICK, selection=Selection(n_candidates=4, n_valset=6)
    )
    cases = choose_cases(before, after)
    figures = report_figures(scores, cases, context.get("trials", ()))
    return render_report(scores, decide(scores, QUICK), cases, figures, **context)


def _text(page: str) -> str:
    without = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without))


def _said(scores: ScoreReport, params: PromotionParams = QUICK) -> str:
    """Headline, finding and next step."""
    decision = decide(scores, params)
    steps = (headline, finding, next_step)
    return " ".join(f"{step(scores, decision).rstrip('.')}." for step in steps)


def test_the_finding_is_one_sentence_with_scores_and_interval() -> None:
    """What came out, with n and interval, that it is proven, and what to do."""
    said = _said(report(LOW, GOOD))
    assert said.startswith("Better, and proven: the optimized program is promoted.")
    assert re.search(r"\+0\.\d{3} \(95% interval \+0\.\d{3} to \+0\.\d{3}\)", said)
    assert "This is proven. Use it. In a project " in said


def test_the_headline_names_who_decided_by_hand() -> None:
    """A decision by hand is not shown as if it were measured."""
    by_hand = PromotionOverride(decision="keep_baseline", by="Ada", reason="not yet")
    said = _said(report(LOW, GOOD), QUICK.model_copy(update={"override": by_hand}))
    assert "the baseline stays (decided by Ada)" in said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([None, 0.5], [0.5, None], "No example was scored for both"),
        ([0.5, None], [0.6, None], "On 1 example that the optimizer never saw"),
        ([0.5, 0.5], [0.6, 0.6], "Too few examples to tell: the baseline stays"),
        (GOOD[::-1] * 8, GOOD * 8, "Not better: the baseline stays"),
        (GOOD * 8, [1.0, 0.86] * 32, "This may be chance"),
    ],
)
def test_the_finding_says_what_is_missing(
    before: list[float | None], after: list[float | None], said: str
) -> None:
    """Without pairs, enough of them or an uplift the sentences say so."""
    assert said in _said(report(before, after))


@pytest.mark.parametrize(("after", "proven"), [(GOOD, True), (LOW[::-1], False)])
def test_only_what_is_proven_has_a_color(after: list[float], proven: bool) -> None:
    """An uplift that may be chance is neutral."""
    page = _page(after=records(after, "optimized"))
    assert ('<div class="tile"><b class="better">' in page) == proven


def test_no_folder_of_this_machine_is_on_the_page() -> None:
    """A page is passed on."""
    here = str(Path.cwd())
    checks = [{"name": "disk", "value": f"{here}/data", "allowed": f"room in {here}"}]
    assert here not in _page(preflight=checks, settings={"a": {"b": [f"{here}/x"]}})


def test_a_candidate_is_shown_with_what_it_asks() -> None:
    """Instructions and demos stand beside the score, the best candidate first."""
    row = {**BASE, "kind": "full_eval", "n": 6, "best": 0.5}
    asks = [[{"instructions": f"Ask {n}.", "demos": [{"q": "why"}]}] for n in (1, 2)]
    trials = [
        {**row, "trial": 1, "score": 0.3, "prompts": asks[0]},
        {**row, "trial": 2, "instruction": [1], "score": 0.5, "prompts": asks[1]},
        {**row, "trial": 3, "instruction": [1], "score": 0.5},
    ]
    text = _text(_page(trials=trials))
    assert "0.500 trial 2, 3: instruction [1]" in text
    assert text.index("Ask 2.") < text.index("Ask 1.")
    assert "q: why" in text


def test_every_figure_has_its_place_and_data() -> None:
    """With all inputs there are four figures, each with a place on the page."""
    page = _page(trials=TRIALS)
    wanted = {"uplift", "components", "examples", "history"}
    assert {f"figure-{name}" for name in wanted} <= Page(page).ids()


def test_the_page_asks_the_network_for_nothing() -> None:
    """No tag has an address, and the page's own policy forbids connections."""
    page = Page(_page())
    assert not [
        a for _, a in page.tags if a.get("src") or "//" in (a.get("href") or "")
    ]
    policy = next(a for _, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in str(policy["content"])


def test_a_text_of_megabytes_is_shown_in_part() -> None:
    """An LM that repeats itself to the end makes no page that nobody can open."""
    long = {"answer": "word " * 200_000}
    after = [r.model_copy(update={"outputs": long}) for r in records(GOOD, "optimized")]
    page = _page(after=after)
    assert len(page) < 250_000
    assert "... (990,000 more characters)" in page


def test_the_page_is_light() -> None:
    """Figures are drawings, not a library of megabytes."""
    page = _page()
    assert "<svg" in page
    assert len(page) < 200_000


def test_missing_inputs_are_said_in_sentences() -> None:
    """Without trials, totals, prompts and preflight the page still reads well."""
    text = _text(_page())
    for sentence in (
        "No trials are stored",
        "No ledger totals",
        "No comparison of the prompts",
        "No preflight is stored",
        "Nothing is known about the environment",
    ):
        assert sentence in text


def test_every_example_can_be_reached_with_both_answers() -> None:
    """Each example has its place, inputs, both outputs and where points were lost."""
    after = records(GOOD, "optimized")
    after[2] = record(2, 0.4, outputs={"answer": "new"}, feedback="C002 was missed")
    before = records(LOW, "baseline")
    before[2] = record(2, 0.65, which="baseline", inputs={"question": "Why? " * 40})
    page = _page(before, after)
    assert "Why? Why?..." in page  # what an example is about, before it is opened
    assert {f"example-{i}" for i in range(8)} <= Page(page).ids()
    assert "C002 was missed" in page
    assert page.index('id="example-2"') < page.index('id="example-0"')  # losses first


def test_failed_and_unscored_show_why() -> None:
    """A failed answer shows the LM's text, an unscored one the reason."""
    before = records(LOW, "baseline")
    before[0] = record(
        0, 0.0, status="failed", reason="unreadable", raw_text="gibberish"
    )
    before[1] = record(1, None, reason="LMTimeoutError: 600 s")
    text = _text(_page(before=before))
    assert "gibberish" in text
    assert "LMTimeoutError: 600 s" in text
    assert "1 unscored" in text


def test_untrusted_text_is_escaped_everywhere() -> None:
    """Markup from ids, inputs, outputs, feedback and settings stays text."""
    after = [
        record(i, 0.9, example_id=BAD, inputs={BAD: BAD}, outputs={"answer": BAD})
        for i in range(8)
    ]
    after = [r.model_copy(update={"feedback": BAD, "raw_text": BAD}) for r in after]
    page = _page(
        before=after,
        after=after,
        title=BAD,
        settings={BAD: BAD},
        stages={BAD: Usage(paid=1)},
        preflight=[{"name": BAD, "passed": False, "value": BAD, "allowed": BAD}],
    )
    assert BAD not in page
    assert not [attrs for tag, attrs in Page(page).tags if tag == "img"]


def test_the_selection_on_the_valset_is_put_into_words() -> None:
    """K, n and what selection adds by chance are told beside the history."""
    text = _text(_page())
    assert "4 programs, the baseline among them, were evaluated on all 6" in text
    assert "by chance" in text


def test_every_figure_can_be_stored_even_without_data() -> None:
    """The catalog always gets its four figures, empty where nothing was measured."""
    before, after = records([None, 0.5], "baseline"), records([0.5, None], "optimized")
    figures = report_figures(
        score_pairs(before, after, QUICK), choose_cases(before, after), ()
    )
    assert list(figures) == ["uplift", "components", "examples", "history"]
    assert "figure-uplift" not in Page(_page(before=before, after=after)).ids()


def test_a_large_testset_is_shown_in_part_and_says_so() -> None:
    """Page and figure hold at most 200 examples; how many there are stands there."""
    scores = [i / 3000 for i in range(3000)]
    before = records(scores, "baseline")
    after = records(scores[::-1], "optimized")
    page = _page(before=before, after=after)
    shown = [one for one in Page(page).ids() if str(one).startswith("example-")]
    assert len(shown) == 120
    said = "120 of 3,000 examples: up to 80 largest losses"
    assert f"Shown are {said}" in _text(page)
    assert "by the method of Gaffke for the means" in _text(page)
    figures = report_figures(
        score_pairs(before, after, QUICK), choose_cases(before, after), ()
    )
    assert said in figures["examples"].layout.xaxis.title.text
    assert len(figures["examples"].data[0].x) == 3 * 40
