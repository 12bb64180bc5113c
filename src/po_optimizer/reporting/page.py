"""One self-contained HTML page that a lead reads to decide: no network, no script host.

Everything that a program, an LM or a document said is escaped (Jinja's autoescape;
figures' JSON has no "<").
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from po_optimizer.evaluation.predictions import PredictionRecord, Result
from po_optimizer.evaluation.promotion import Promotion
from po_optimizer.evaluation.reasons import NAMES, p_text
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.evaluation.statistics import Estimate
from po_optimizer.lms.usage import Usage
from po_optimizer.reporting.examples import choose_cases, describe_choice
from po_optimizer.reporting.figures import TrialRow
from po_optimizer.reporting.prompt_diff import environment
from po_optimizer.reporting.verdict import headline


class Measure(Result):
    """One line of the table of means."""

    name: str
    before: Estimate
    after: Estimate
    uplift: Estimate | None


def render_report(
    report: ScoreReport,
    promotion: Promotion,
    baseline: Iterable[PredictionRecord],
    optimized: Iterable[PredictionRecord],
    figures: Mapping[str, go.Figure],
    *,
    title: str = "Score report",
    trials: Sequence[Mapping[str, Any]] = (),
    stages: Mapping[str, Usage] | None = None,
    prompt_diff: str = "",
    preflight: Sequence[Mapping[str, Any]] = (),
    settings: Mapping[str, Any] | None = None,
) -> str:
    """The page; every part that has no data says so in a sentence.

    Args:
        report: Means, intervals, uplift.
        promotion: The decision that stands on top.
        baseline: The baseline's records; read twice.
        optimized: The optimized program's records, paired with the baseline's.
        figures: What `report_figures` drew.
        title: Of the page, e.g. with the LM's name.
        trials: The optimizer's journal (`TrialRow`).
        stages: Stage to its LM calls' totals.
        prompt_diff: What `prompt_diff_html` gave; inserted as it is.
        preflight: Checks with name, passed, value, allowed, message.
        settings: Name to value: LM, versions, seeds, data hash.
    """
    cases, usage = choose_cases(baseline, optimized), dict(stages or {})
    needed = {"uplift": report.uplift.score.n, "history": trials, "usage": usage}
    template = environment().get_template("report.html.j2")
    return template.render(
        title=title,
        verdict=verdict(report, promotion),
        report=report,
        intervals=_intervals(report),
        p_value=p_text(report.uplift.test.p_value),
        promotion=promotion,
        measures=_measures(report),
        cases=cases,
        left_out=describe_choice(len(cases), report.baseline.n_examples),
        trials=[TrialRow.model_validate(trial) for trial in trials],
        usage=usage,
        prompt_diff=Markup(prompt_diff),  # noqa: S704 (escaped by prompt_diff_html)
        preflight=preflight,
        settings=dict(settings or {}),
        **embedded({n: fig for n, fig in figures.items() if needed.get(n, True)}),
    )


def embedded(figures: Mapping[str, go.Figure]) -> dict[str, Any]:
    """What every page holds beside its own data: figures, style, plotly itself."""
    folder = files("po_optimizer.reporting") / "templates"
    return {
        "figures": {name: _json(figure) for name, figure in figures.items()},
        "style": Markup((folder / "report.css").read_text("utf-8")),  # noqa: S704 (a file of this package)
        "plotly": Markup(get_plotlyjs()),  # noqa: S704 (the library itself)
    }


def verdict(report: ScoreReport, promotion: Promotion) -> str:
    """The decision and the uplift in one sentence."""
    uplift, against = report.challenge.score, promotion.evidence.against
    result = headline(report, promotion)
    if uplift.mean is None:
        return f"{result}. No example was scored for both programs."
    over = f" over {NAMES[against]}" if against == "champion" else ""
    span = uplift.interval
    interval = (
        f"{report.confidence:.0%} interval {span.low:+.3f} to {span.high:+.3f}"
        if span
        else "no interval"
    )
    return (
        f"{result}. The uplift{over} on {uplift.n} examples is {uplift.mean:+.3f} "
        f"({interval}), from {report.incumbent.score.mean:.3f} "
        f"to {report.optimized.score.mean:.3f}."
    )


def _measures(report: ScoreReport) -> list[Measure]:
    before, after, uplift = report.baseline, report.optimized, report.uplift
    rows = [("score", before.score, after.score, uplift.score)]
    if before.rubric is not None and after.rubric is not None:
        difference = uplift.rubric or Estimate(mean=None, n=0)
        rows.append(("rubric", before.rubric, after.rubric, difference))
    rows += [
        (name, before.components[name], after.components[name], uplift.components[name])
        for name in before.components
    ]
    return [
        Measure(name=name, before=a, after=b, uplift=difference)
        for name, a, b, difference in rows
    ]


def _intervals(report: ScoreReport) -> str:
    """How the intervals were made, in words."""
    mean = report.optimized.score.interval
    resampled = f"{report.num_resamples} resamples, seed {report.seed}"
    if mean is None or mean.method != "gaffke":  # a report of before
        return f"BCa bootstrap, {resampled}"
    return (
        "by Gaffke for the means, which hold for rare failures too; for the uplifts "
        f"BCa ({resampled}), wider by the losses and gains that "
        f"{report.uplift.score.n} pairs cannot show"
    )


def _json(figure: go.Figure) -> Markup:
    text = figure.to_json().replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 (no "<" is left, so no tag can close the script)
