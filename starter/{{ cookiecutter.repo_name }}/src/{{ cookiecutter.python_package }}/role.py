"""The role: a program, and the metric that says how good its answers are."""

from typing import Any

import dspy

from po_optimizer import Score

FIELDS = ("room", "day", "people")


class Booking(dspy.Signature):
    """Fill in the booking that a colleague asks for."""

    message: str = dspy.InputField()
    room: str = dspy.OutputField(desc="R- and three digits")
    day: str = dspy.OutputField(desc="three letters, capital first")
    people: int = dspy.OutputField(desc="how many people come")


class Booker(dspy.Module):
    """Fills in one booking in one LM call."""

    def __init__(self) -> None:
        super().__init__()
        self.fill = dspy.Predict(Booking)

    def forward(self, message: str) -> dspy.Prediction:
        """A prediction with `room`, `day` and `people`."""
        return self.fill(message=message)


def metric(example: dspy.Example, prediction: Any, trace: Any = None) -> Score:
    """The share of fields that are as in the record, letter by letter; in [0, 1]."""
    missing = [name for name in FIELDS if prediction.get(name) is None]
    if missing:
        problem = f"the booking lacks {', '.join(missing)}"
        return Score(0.0, feedback=problem, unusable=problem)
    parts = {name: float(prediction[name] == example[name]) for name in FIELDS}
    wrong = [
        f"{name} is {example[name]!r}, not {prediction[name]!r}"
        for name, value in parts.items()
        if value < 1
    ]
    return Score(sum(parts.values()) / len(parts), parts, feedback="\n".join(wrong))
