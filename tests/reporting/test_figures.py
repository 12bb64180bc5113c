import json

import plotly.graph_objects as go
import pytest

from po_optimizer.reporting.examples import choose_cases
from po_optimizer.reporting.figures import (
    components_figure,
    history_figure,
    slope_figure,
    uplift_figure,
)
from tests.evaluation.scripted import records, report

BEFORE = [0.2, 0.5, 0.4, 0.6, None]
AFTER = [0.6, 0.5, 0.3, 0.9, 0.8]
NO_EFFORT = {"n_failed": 0, "calls_paid": 0, "calls_cached": 0, "seconds": 0.0}
BASE = {"instruction": [0], "demo_set": [0], **NO_EFFORT}
TRIALS = [
    {"trial": 1, "kind": "baseline", "score": 0.4, "n": 6, "best": 0.4, **BASE},
    {"trial": 2, "kind": "minibatch", "score": 0.6, "n": 3, "best": 0.4, **BASE},
    {"trial": 3, "kind": "full_eval", "score": 0.5, "n": 6, "best": 0.5, **BASE},
]


def _trace(figure: go.Figure, name: str) -> go.Scatter:
    return next(trace for trace in figure.data if trace.name == name)


def test_the_uplift_has_a_row_for_all_and_for_each_stratum() -> None:
    """The first row is the whole testset, each stratum follows with its n."""
    figure = uplift_figure(report(BEFORE, AFTER))
    names = figure.layout.yaxis.ticktext
    assert names[0] == "all examples (n=4)"
    assert set(names[1:]) == {"tier: medium (n=2)", "tier: simple (n=2)"}


def test_components_show_both_programs_and_the_target() -> None:
    """Score and rubric stand beside the components, with the rubric's target."""
    figure = components_figure(report(BEFORE, AFTER))
    assert list(figure.layout.yaxis.ticktext) == ["score", "rubric", "schema"]
    assert _trace(figure, "rubric's target").x == (0.88,)
    assert _trace(figure, "optimized").x[0] == pytest.approx(sum(AFTER) / 5)


def test_slopes_are_grouped_by_direction() -> None:
    """Each scored pair is a line among better, equal or worse; unscored is in none."""
    figure = slope_figure(
        choose_cases(records(BEFORE, "baseline"), records(AFTER, "optimized"))
    )
    names = [trace.name for trace in figure.data]
    assert names == ["better (2)", "equal (1)", "worse (1)"]
    assert figure.data[0].customdata == (0, 0, 0, 3, 3, 3)


def test_the_history_tells_the_kinds_apart() -> None:
    """Minibatches, full evaluations, the baseline and the best so far are apart."""
    figure = history_figure(TRIALS)
    assert _trace(figure, "minibatch").y == (0.6,)
    assert _trace(figure, "best so far").y == (0.4, 0.4, 0.5)
    assert figure.layout.shapes[0].y0 == 0.4


@pytest.mark.parametrize(
    "figure",
    [
        uplift_figure(report(BEFORE, AFTER)),
        components_figure(report(BEFORE, AFTER)),
        history_figure(TRIALS),
    ],
    ids=["uplift", "components", "history"],
)
def test_every_axis_with_numbers_has_a_title(figure: go.Figure) -> None:
    """A number axis says what it counts, and the figure is plain JSON."""
    layout = json.loads(figure.to_json())["layout"]
    axes = [layout[name] for name in layout if name.startswith("xaxis")]
    assert axes
    assert all(axis["title"]["text"] for axis in axes)


def test_names_from_data_are_escaped() -> None:
    """The name of a stratum or an example cannot bring markup into a figure."""
    scores = report(BEFORE, AFTER)
    strata = {"tier": {"<b>": scores.uplift.score}}
    uplift = scores.uplift.model_copy(update={"strata": strata})
    figure = uplift_figure(scores.model_copy(update={"uplift": uplift}))
    assert "tier: &lt;b&gt; (n=4)" in figure.layout.yaxis.ticktext
