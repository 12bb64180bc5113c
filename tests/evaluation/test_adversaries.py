from typing import Any

import dspy

from po_optimizer.evaluation.corruptions import HONEST, adversaries
from po_optimizer.evaluation.metric_check import metric_report
from po_optimizer.roles.score import Score

OUTPUT = {
    "status": "open",
    "reasons": ["FR1 is far too slow", "FR2 has no owner", "C3 forbids both"],
}
PROGRAM = dspy.Predict("text -> status: Literal['open', 'closed'], reasons: list[str]")
TYPES = {
    name: field.annotation for name, field in PROGRAM.signature.output_fields.items()
}


def example(**outputs: Any) -> dspy.Example:
    """An example whose input names four ids."""
    text = "FR1 answers in ten minutes FR2 sends letters C3 no letters C4 one office"
    return dspy.Example(text=text, **{**OUTPUT, **outputs}).with_inputs("text")


def answers(name: str) -> dict[str, Any]:
    """What one adversary answers to the example."""
    return dict(adversaries([example()], [OUTPUT], TYPES, seed=3)[name][0])


def test_a_list_is_halved_for_the_honest_answer() -> None:
    """Every second entry stays, nothing else changes."""
    assert answers(HONEST) == {**OUTPUT, "reasons": OUTPUT["reasons"][::2]}


def test_no_adversary_touches_a_closed_set() -> None:
    """A status stays what it is: it is guessed or known, not written."""
    played = adversaries([example()], [OUTPUT], TYPES, seed=3)
    assert {answer[0]["status"] for answer in played.values()} == {"open"}
    assert len(played) >= 12


def test_reasons_change_places_and_ids_stay() -> None:
    """Each entry keeps its id and takes the next one's words."""
    swapped = answers("reasons swapped")["reasons"]
    assert swapped == ["FR1 has no owner", "FR2 forbids both", "C3 is far too slow"]


def test_every_id_of_the_input_is_listed() -> None:
    """All of them, or a random half."""
    every = answers("every id listed")["reasons"]
    assert [entry[:3].rstrip(":") for entry in every] == ["C3", "C4", "FR1", "FR2"]
    assert len(answers("random half of the ids")["reasons"]) == 2


def test_texts_are_replaced_by_the_input() -> None:
    """A stretch of it, as long as the text was."""
    copied = answers("input copied")["reasons"]
    assert all(entry in example().text for entry in copied)
    assert [len(entry.split()) for entry in copied] == [5, 4, 3]


def test_a_metric_that_can_be_gamed_is_named() -> None:
    """A metric that counts entries pays more for every id than for half a reference."""

    def counting(example: Any, prediction: Any, trace: Any = None) -> Score:
        return Score(min(1.0, len(prediction.get("reasons") or []) / 4))

    report = metric_report(counting, [example()], program=PROGRAM)
    assert "every id listed" in report.gamed_by
    assert HONEST not in report.gamed_by


def test_without_lists_there_is_nothing_to_compare_with() -> None:
    """An output of one text has no half; nothing is said to be gamed."""

    def blind(example: Any, prediction: Any, trace: Any = None) -> float:
        return 1.0

    short = dspy.Example(text="a b c d", answer="fine").with_inputs("text")
    assert metric_report(blind, [short]).gamed_by == []
