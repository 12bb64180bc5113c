"""One self-contained HTML page that a lead reads to decide: no network.

Everything that a program, an LM or a document said is escaped (Jinja's autoescape).
"""

from __future__ import annotations  # plotly's classes load when they are used

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from po_optimizer.evaluation.promotion import Promotion
from po_optimizer.evaluation.reasons import p_text
from po_optimizer.evaluation.score_report import ScoreReport
from po_optimizer.lms.usage import Usage
from po_optimizer.optimization.journal import Trial
from po_optimizer.reporting.examples import Case, describe_choice
from po_optimizer.reporting.prompt_diff import body_of, change_of, environment
from po_optimizer.reporting.svg import draw
from po_optimizer.reporting.verdict import finding, headline, next_step


def render_report(
    report: ScoreReport,
    promotion: Promotion,
    cases: Sequence[Case],
    figures: Mapping[str, go.Figure],
    *,
    title: str = "Score report",
    run: str = "",
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
        cases: The examples that are shown.
        figures: As `report_figures` made them.
        title: Of the page, e.g. with the LM's name.
        run: The run's name, its time of start.
        trials: The optimizer's journal (`Trial`).
        stages: Stage to its LM calls' totals.
        prompt_diff: What `prompt_diff_html` gave.
        preflight: Checks with name, passed, value, allowed, message.
        settings: Name to value: LM, versions, seeds, data hash.
    """
    needed = {"uplift": report.uplift.score.n, "history": trials}
    rows = [Trial.model_validate(trial) for trial in trials]
    template = environment().get_template("report.html.j2")
    return template.render(
        title=title,
        date=_date(run),
        headline=headline(report, promotion),
        finding=finding(report, promotion),
        changed=change_of(prompt_diff),
        next_step=next_step(report, promotion),
        proven=promotion.measured in ("promote", "below_target"),
        report=report,
        intervals=_intervals(report),
        p_value=p_text(report.uplift.test.p_value),
        promotion=promotion,
        cases=cases,
        left_out=describe_choice(len(cases), report.baseline.n_examples),
        trials=rows,
        candidates=_candidates(rows),
        usage=dict(stages or {}),
        prompt_diff=body_of(prompt_diff),
        preflight=_without_paths(preflight),
        settings=_without_paths(dict(settings or {})),
        figures={
            name: draw(figure, f"figure: {name}")
            for name, figure in figures.items()
            if needed.get(name, True)
        },
    )


def _intervals(report: ScoreReport) -> str:
    """How the intervals were made, in words."""
    mean = report.optimized.score.interval
    resampled = f"{report.num_resamples} resamples, seed {report.seed}"
    if mean is None or mean.method != "gaffke":  # a report of before
        return f"BCa bootstrap, {resampled}"
    return (
        "by the method of Gaffke for the means, which covers rare failures, too; by "
        f"BCa bootstrap ({resampled}) for the uplifts, widened by the losses and gains "
        f"that {report.uplift.score.n} examples may not have shown"
    )


def _date(run: str) -> str:
    """When a run began, as people write it; "": its name does not tell."""
    try:
        begun = datetime.strptime(run[:16], "%Y-%m-%dT%H.%M")
    except ValueError:
        return ""
    return f"{begun:%d %B %Y, %H:%M} UTC".lstrip("0")


def _candidates(trials: Sequence[Trial]) -> list[tuple[Trial, list[Trial]]]:
    """Each candidate's first trial and all of its trials, the best score first."""
    groups: dict[str, list[Trial]] = {}
    for row in trials:
        groups.setdefault(f"{row.instruction} {row.demo_set}", []).append(row)
    pairs = [(rows[0], rows) for rows in groups.values() if rows[0].prompts]
    return sorted(pairs, key=lambda pair: (-max(r.n for r in pair[1]), -_best(pair[1])))


def _best(rows: Sequence[Trial]) -> float:
    """The score on the most examples."""
    return max(rows, key=lambda row: row.n).score


def _without_paths(value: Any) -> Any:
    """The value without what is only of this machine: a page is passed on."""
    if isinstance(value, Mapping):
        return {name: _without_paths(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(part) for part in value]
    if not isinstance(value, str):
        return value
    for folder in (str(Path.cwd()), str(Path.home())):
        value = value.replace(f"{folder}/", "").replace(folder, ".")
    return value
