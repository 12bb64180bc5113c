"""The role: its program and its metric. Nothing else names it."""

from typing import Any

import dspy

from po_optimizer import Score

FIELDS = ("order_number", "product", "quantity")


class FillForm(dspy.Signature):
    """Fill in the return form from a customer's message."""

    message: str = dspy.InputField()
    order_number: str = dspy.OutputField(desc="AF- and five digits")
    product: str = dspy.OutputField(
        desc="what is returned: lower case, one piece, no brand, color or size"
    )
    quantity: int = dspy.OutputField(desc="how many pieces are returned")


class FormFiller(dspy.Module):
    """Fills in one form in one LM call."""

    def __init__(self) -> None:
        super().__init__()
        self.fill = dspy.Predict(FillForm)

    def forward(self, message: str) -> dspy.Prediction:
        """A prediction with `order_number`, `product` and `quantity`."""
        return self.fill(message=message)


def form_metric(
    example: dspy.Example, prediction: Any, trace: Any = None, *_: Any
) -> Score:
    """The share of fields that are as in the reference, letter by letter; in [0, 1].

    The warehouse looks the three up as they stand: "Kettle" is no product of its list.
    """
    missing = [name for name in FIELDS if prediction.get(name) is None]
    if missing:
        problem = f"the form lacks {', '.join(missing)}"
        return Score(0.0, feedback=problem, unusable=problem)
    parts = {name: float(prediction[name] == example[name]) for name in FIELDS}
    feedback = [
        f"{name} is {example[name]!r}, not {prediction[name]!r}"
        for name, value in parts.items()
        if value < 1
    ]
    value = sum(parts.values()) / len(parts)
    return Score(value, parts, feedback="\n".join(feedback))
