"""The figures of a report."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from pydantic import AliasChoices, ConfigDict, Field

from po_optimizer.evaluation.estimates import Estimate
from po_optimizer.evaluation.metric_check import MetricReport
from po_optimizer.evaluation.predictions import PredictionRecord, Result
from po_optimizer.evaluation.score_report import ProgramScore, ScoreReport
from po_optimizer.lms.usage import Usage
from po_optimizer.reporting.examples import Case, choose_cases, describe_choice
from po_optimizer.reporting.style import (
    BASELINE,
    BETTER,
    EQUAL,
    INK,
    OPTIMIZED,
    WORSE,
    Figure,
    axis,
    before_and_after,
    dots,
    named_rows,
    new_figure,
)

_BESIDE = 0.16  # space between panels, as a share of the figure's height


class TrialRow(Result):
    """One line of the optimizer's journal; scores in [0, 1], higher is better."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    trial: int
    kind: str
    instruction: list[int] | int | None = None
    demo_set: list[int] | int | None = None
    score: float
    n: int
    n_failed: int = 0
    best: float
    paid: int = Field(0, validation_alias=AliasChoices("calls_paid", "paid"))
    cached: int = Field(0, validation_alias=AliasChoices("calls_cached", "cached"))
    seconds: float = 0.0
    reason: str = ""
    prompts: list[dict[str, Any]] = Field(default_factory=list)


def report_figures(
    report: ScoreReport,
    baseline: Iterable[PredictionRecord],
    optimized: Iterable[PredictionRecord],
    trials: Sequence[Mapping[str, Any]],
    stages: Mapping[str, Usage],
) -> dict[str, Figure]:
    """uplift, components, examples, history, usage; empty ones where data is missing.

    Args:
        report: Means, intervals, uplift.
        baseline: The baseline's records; read twice.
        optimized: The optimized program's records, paired with the baseline's.
        trials: The optimizer's journal (`TrialRow`).
        stages: Stage to its LM calls' totals.
    """
    cases = choose_cases(baseline, optimized)
    choice = describe_choice(len(cases), report.baseline.n_examples)
    return {
        "uplift": uplift_figure(report),
        "components": components_figure(report),
        "examples": slope_figure(cases, choice),
        "history": history_figure(trials),
        "usage": usage_figure(stages),
    }


def uplift_figure(report: ScoreReport) -> Figure:
    """The uplift with its interval, over all examples and per stratum."""
    rows = [("all examples", report.uplift.score)]
    if report.over_champion is not None:
        rows.append(("over the promoted program", report.over_champion.score))
    for field, groups in report.uplift.strata.items():
        rows += [(f"{field}: {value}", mean) for value, mean in groups.items()]
    rows = [(name, mean) for name, mean in rows if mean.mean is not None]
    means = [mean for _, mean in rows]
    names = [f"{escape(name)} (n={mean.n})" for name, mean in rows]
    colors = [_color(mean) for mean in means]
    title = f"uplift, {report.confidence:.0%} interval"
    return new_figure(
        [dots(names, means, "uplift", {"color": colors})],
        len(rows),
        showlegend=False,
        xaxis=axis(title, range=_span(means)),
        yaxis=named_rows(names),
        shapes=[_line_across("x", 0.0, {"color": INK, "width": 1.5})],
    )


def components_figure(report: ScoreReport) -> Figure:
    """Score, rubric and each component, before and after, with intervals."""
    before, after = _measures(report.baseline), _measures(report.optimized)
    names = [escape(name) for name in before]
    title = f"mean on the testset, n={report.optimized.score.n} (0 to 1)"
    figure = before_and_after(names, [*before.values()], [*after.values()], title)
    if report.optimized.rubric is not None:
        target = {
            "type": "scatter",
            "x": [report.target_rubric],
            "y": [names.index("rubric")],
            "name": "rubric's target",
            "mode": "markers",
            "marker": {
                "symbol": "line-ns-open",
                "size": 20,
                "color": WORSE,
                "line": {"width": 3},
            },
        }
        figure["data"].append(target)
    return figure


def slope_figure(cases: Iterable[Case], choice: str = "") -> Figure:
    """A line for each example, from the baseline's score to the optimized one's.

    Args:
        cases: What is drawn of it.
        choice: Which examples these are, if some are left out.
    """
    pairs = [
        (case.before, case.after, case.difference)
        for case in sorted(cases, key=lambda case: case.before.index)
        if case.difference is not None
    ]
    groups = {
        "better": (BETTER, [pair for pair in pairs if pair[2] > 0]),
        "equal": (EQUAL, [pair for pair in pairs if pair[2] == 0]),
        "worse": (WORSE, [pair for pair in pairs if pair[2] < 0]),
    }
    traces = []
    for name, (color, group) in groups.items():
        texts = [
            f"{escape(before.example_id)}: {before.score:.3f} to {after.score:.3f}"
            for before, after, _ in group
        ]
        ends = ((before.score, after.score, None) for before, after, _ in group)
        trace = {
            "type": "scatter",
            "x": ["baseline", "optimized", None] * len(group),
            "y": [end for pair in ends for end in pair],
            "text": [each for text in texts for each in (text, text, "")],
            "customdata": [before.index for before, _, _ in group for _ in range(3)],
            "name": f"{name} ({len(group)})",
            "mode": "lines+markers",
            "line": {"color": color, "width": 1.5},
            "marker": {"size": 8},
            "hovertemplate": "%{text}<extra></extra>",
        }
        traces.append(trace)
    xaxis = axis(choice, range=[-0.15, 1.15], type="category")
    yaxis = axis("score of one example (0 to 1)", range=[-0.03, 1.03])
    return new_figure(traces, 11, xaxis=xaxis, yaxis=yaxis)


def history_figure(trials: Sequence[Mapping[str, Any]]) -> Figure:
    """Each trial's score on the valset, the best so far and the baseline."""
    rows = [TrialRow.model_validate(trial) for trial in trials]
    looks = {
        "minibatch": ("circle-open", EQUAL),
        "raced": ("x-thin", EQUAL),
        "full_eval": ("circle", OPTIMIZED),
        "baseline": ("square", WORSE),
    }
    traces: list[dict[str, Any]] = []
    for kind, (symbol, color) in looks.items():
        if trials_of := [row for row in rows if row.kind == kind]:
            line = {"width": 2, "color": color}
            trace = {
                "type": "scatter",
                "x": [row.trial for row in trials_of],
                "y": [row.score for row in trials_of],
                "text": [_trial_text(row) for row in trials_of],
                "name": kind,
                "mode": "markers",
                "marker": {"symbol": symbol, "color": color, "size": 11, "line": line},
                "hovertemplate": "%{text}<extra></extra>",
            }
            traces.append(trace)
    best = {
        "type": "scatter",
        "x": [row.trial for row in rows],
        "y": [row.best for row in rows],
        "name": "best so far",
        "mode": "lines",
        "line": {"color": BETTER, "shape": "hv", "width": 2},
    }
    look = {"color": WORSE, "dash": "dot"}
    return new_figure(
        [*traces, best],
        9,
        xaxis=axis("trial", dtick=max(1, len(rows) // 10)),
        yaxis=axis("mean score on the valset (0 to 1)"),
        shapes=[
            _line_across("y", row.score, look) for row in rows if row.kind == "baseline"
        ],
    )


def usage_figure(stages: Mapping[str, Usage]) -> Figure:
    """LM calls, tokens and minutes of each stage, a panel each."""
    names, usages = [escape(name) for name in stages], list(stages.values())
    bars = [  # panel, name, color, values
        (0, "paid calls", OPTIMIZED, [u.paid for u in usages]),
        (0, "cached calls", BASELINE, [u.cached for u in usages]),
        (1, "prompt tokens", BETTER, [u.prompt_tokens for u in usages]),
        (1, "completion tokens", WORSE, [u.completion_tokens for u in usages]),
        (2, "LM minutes", "#cc79a7", [u.seconds / 60 for u in usages]),
    ]
    suffixes = ("", "2", "3")
    traces = [
        {
            "type": "bar",
            "x": values,
            "y": names,
            "name": name,
            "orientation": "h",
            "marker": {"color": color, "line": {"width": 0}},
            "xaxis": f"x{suffixes[panel]}",
            "yaxis": f"y{suffixes[panel]}",
        }
        for panel, name, color, values in bars
    ]
    layout: dict[str, Any] = {"barmode": "stack"}
    titles = ("LM calls", "tokens, paid calls only", "LM minutes")
    height = (1.0 - 2 * _BESIDE) / 3
    for panel, (suffix, title) in enumerate(zip(suffixes, titles, strict=True)):
        bottom = (2 - panel) * (height + _BESIDE)
        x = axis(title, rangemode="tozero", anchor=f"y{suffix}")
        y = axis(autorange="reversed", type="category", anchor=f"x{suffix}")
        layout[f"xaxis{suffix}"] = x
        layout[f"yaxis{suffix}"] = {**y, "domain": [bottom, bottom + height]}
    return new_figure(traces, 3 * (len(names) + 2.2), **layout)


def metric_figure(report: MetricReport) -> Figure:
    """What a metric tells apart: a box for each family, and a point an example."""
    traces = [
        {
            "type": "box",
            "x": family.scores,
            "name": f"{escape(family.name)} (n={len(family.scores)})",
            "boxpoints": "all",
            "jitter": 0.5,
            "pointpos": 0,
            "fillcolor": "rgba(47,143,208,0.15)",
            "line": {"color": OPTIMIZED, "width": 1.5},
            "marker": {"size": 4, "opacity": 0.6},
            "hoverinfo": "x+name",
        }
        for family in report.families
        if family.scores
    ]
    xaxis = axis("score of one example (0 to 1)", range=[-0.03, 1.03])
    yaxis = axis(autorange="reversed")
    rows = 1.6 * len(traces)
    return new_figure(traces, rows, showlegend=False, xaxis=xaxis, yaxis=yaxis)


def _line_across(letter: str, value: float, line: dict[str, Any]) -> dict[str, Any]:
    """A straight line at a value of one axis, over the whole of the other."""
    other = "y" if letter == "x" else "x"
    place = {f"{letter}0": value, f"{letter}1": value, f"{letter}ref": letter}
    whole = {f"{other}0": 0, f"{other}1": 1, f"{other}ref": f"{other} domain"}
    return {"type": "line", "line": line, **place, **whole}


def _measures(program: ProgramScore) -> dict[str, Estimate]:
    rubric = {} if program.rubric is None else {"rubric": program.rubric}
    return {"score": program.score, **rubric, **program.components}


def _span(estimates: Sequence[Estimate]) -> list[float]:
    reach = 0.05
    for estimate in estimates:
        span = estimate.interval
        ends = [span.low, span.high] if span else []
        reach = max([reach, abs(estimate.mean or 0.0), *(abs(end) for end in ends)])
    reach = min(1.0, reach)
    return [-1.1 * reach, 1.1 * reach]


def _trial_text(row: TrialRow) -> str:
    return (
        f"trial {row.trial}, {escape(row.kind)}<br>score {row.score:.3f}, n={row.n}, "
        f"{row.n_failed} failed<br>instruction {row.instruction}, "
        f"demo set {row.demo_set}"
        + (f"<br>given up: {escape(row.reason)}" if row.reason else "")
    )


def _color(difference: Estimate) -> str:
    """Of an interval that reaches 0: neither better nor worse."""
    span = difference.interval
    if span is None or span.low <= 0.0 <= span.high:
        return EQUAL
    return BETTER if span.low > 0.0 else WORSE
