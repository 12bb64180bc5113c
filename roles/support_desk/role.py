"""The role: its program and its metric. Nothing else names it."""

from typing import Any, Literal

import dspy

from po_optimizer import Score

Category = Literal["billing", "bug", "how_to", "account"]
Urgency = Literal["low", "normal", "high"]
_STEPS = ("low", "normal", "high")


class SortTicket(dspy.Signature):
    """Sort a message to the support desk: what it is about, how urgent it is."""

    message: str = dspy.InputField()
    category: Category = dspy.OutputField()
    urgency: Urgency = dspy.OutputField()


class Triage(dspy.Module):
    """Sorts one message in one LM call."""

    def __init__(self) -> None:
        super().__init__()
        self.sort = dspy.Predict(SortTicket)

    def forward(self, message: str) -> dspy.Prediction:
        """A prediction with `category` and `urgency`."""
        return self.sort(message=message)


def triage_metric(
    example: dspy.Example, prediction: Any, trace: Any = None, *_: Any
) -> Score:
    """0.6 for the right category, up to 0.4 for the urgency; in [0, 1]."""
    category, urgency = prediction.get("category"), prediction.get("urgency")
    if urgency not in _STEPS or not category:
        return Score(0.0, feedback="no answer", unusable="a field is missing or wrong")
    steps = abs(_STEPS.index(urgency) - _STEPS.index(example.urgency))
    parts = {"category": float(category == example.category), "urgency": 1 - steps / 2}
    feedback = [
        f"{name} is {example[name]}, not {prediction.get(name)}"
        for name, value in parts.items()
        if value < 1
    ]
    value = 0.6 * parts["category"] + 0.4 * parts["urgency"]
    return Score(value, parts, feedback="\n".join(feedback))
