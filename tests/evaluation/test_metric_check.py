from typing import Any

import dspy
import pytest

from po_optimizer.evaluation.metric_check import MetricReport, metric_report
from po_optimizer.reporting.figures import metric_figure
from po_optimizer.roles.score import Score


def _examples(*answers: str) -> list[dspy.Example]:
    made = [dspy.Example(question="q", answer=a, tier="simple") for a in answers]
    return [example.with_inputs("question") for example in made]


ANSWERS = ("FR001 is fine", "FR-02 is missing", "C3 forbids FR004")
PROGRAM = dspy.Predict("question -> answer")


def _exact(example: Any, prediction: Any, trace: Any = None) -> Score:
    answer = prediction.get("answer")
    if not answer:
        return Score(0.0, {"same": 0.0}, unusable="empty")
    same = float(answer == example.answer)
    return Score(same, {"same": same})


def _families(metric: Any, *answers: str) -> dict[str, Any]:
    report = metric_report(metric, _examples(*answers), program=PROGRAM)
    return {family.name: family for family in report.families}


def test_a_good_metric_tells_every_family_from_the_references() -> None:
    """References score 1.0, all that is spoiled scores below."""
    families = _families(_exact, *ANSWERS)
    assert families["references"].mean == 1.0
    for name in ("empty output", "references of other records", "ids removed"):
        assert families[name].mean == 0.0
        assert families[name].below_reference == 1.0
    assert families["empty output"].n_unusable == 3


def test_a_blind_metric_is_seen_to_be_blind() -> None:
    """A metric that likes any text does not tell the shuffled references apart."""

    def blind(example: Any, prediction: Any, trace: Any = None) -> float:
        return 1.0 if prediction.get("answer") else 0.0

    shuffled = _families(blind, *ANSWERS)["references of other records"]
    assert shuffled.mean == 1.0
    assert shuffled.below_reference == 0.0


def test_shuffling_leaves_no_record_its_own_reference() -> None:
    """Every example gets another one's outputs; equal outputs are left out."""
    assert _families(_exact, *ANSWERS)["references of other records"].n == 3
    assert _families(_exact, "same", "same")["references of other records"].n == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [("status flipped", "Literal"), ("ids removed", "no output contains an id")],
)
def test_a_family_that_does_not_apply_says_so(name: str, why: str) -> None:
    """Outputs without ids or closed sets of values give no scores but a reason."""
    family = _families(_exact, "no id here", "nor here")[name]
    assert (family.n, family.mean) == (0, None)
    assert "not applicable" in family.note
    assert why in family.note


def test_a_metric_that_raises_is_found_out() -> None:
    """Raising on an empty output is counted and shown; it is no score of 0.0."""

    def careless(example: Any, prediction: Any, trace: Any = None) -> float:
        return float(prediction.answer == example.answer)

    empty = _families(careless, *ANSWERS)["empty output"]
    assert empty.n_raised == 3
    assert empty.mean is None
    assert empty.below_reference == 1.0
    assert empty.note.startswith("no score for 3 of 3: AttributeError: ")
    assert "answer" in empty.note


def test_labels_under_other_names_show_why_nothing_is_scored() -> None:
    """The metric reads an output that the examples do not label."""

    def metric(example: Any, prediction: Any, trace: Any = None) -> float:
        return float(prediction.verdict == example.answer)

    references = _families(metric, *ANSWERS)["references"]
    assert (references.mean, references.below_reference) == (None, None)
    assert "verdict" in references.note


def test_only_the_programs_outputs_are_spoiled() -> None:
    """Labels that are no output (the tier) stay out when the program is known."""

    def sees(example: Any, prediction: Any, trace: Any = None) -> float:
        return float(set(prediction.keys()) == {"answer"})

    assert _families(sees, *ANSWERS)["references"].mean == 1.0


def test_the_table_has_a_row_a_family() -> None:
    """The table names family, n, mean and each component's mean."""
    rows = metric_report(_exact, _examples(*ANSWERS), program=PROGRAM).rows()
    assert len(rows) == 20
    assert rows[0]["name"] == "references"
    assert rows[0]["same"] == 1.0


def test_the_figure_has_a_box_for_each_applicable_family() -> None:
    """Families that do not apply are left out of the figure."""
    report = metric_report(_exact, _examples(*ANSWERS), program=PROGRAM)
    names = [box.name for box in metric_figure(report).data]
    assert names[0] == "references (n=3)"
    assert not [name for name in names if "flipped" in name]


def test_a_report_survives_json() -> None:
    """`metric_report.json` read back is the report that was written."""
    report = metric_report(_exact, _examples(*ANSWERS), program=PROGRAM)
    assert MetricReport.model_validate_json(report.model_dump_json()) == report
