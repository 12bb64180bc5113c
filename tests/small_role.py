"""A second role: name the product of a sentence and tag it; short answers."""

import json
from pathlib import Path
from typing import Any

import dspy
from pydantic import BaseModel, ConfigDict, Field, field_validator

from po_optimizer.roles.score import Score

ROLE = {
    "program": "tests.small_role.Labeler",
    "metric": "tests.small_role.label_metric",
    "record": "tests.small_role.LabelRecord",
}
"""The role, as the parameters name it."""
_WORDS = {
    "tool": "hammers nails and screws for the workshop at home",
    "book": "pages of stories that one reads by the fire in winter",
}


class Label(BaseModel):
    """The program's output."""

    product: str = Field(min_length=1, max_length=20)
    tags: list[str] = Field(min_length=1, max_length=3)


class LabelText(dspy.Signature):
    """Name the product and up to three tags."""

    text: str = dspy.InputField()
    label: Label = dspy.OutputField()


class Labeler(dspy.Module):
    """One predictor."""

    def __init__(self) -> None:
        super().__init__()
        self.label = dspy.Predict(LabelText)

    def forward(self, text: str) -> dspy.Prediction:
        """The label of a text."""
        return self.label(text=text)


class LabelRecord(BaseModel):
    """One raw record of the role."""

    model_config = ConfigDict(extra="forbid")

    text: str
    label: Label
    kind: str

    @field_validator("text")
    @classmethod
    def says_something(cls, text: str) -> str:
        """Refuses an empty text."""
        if not text.strip():
            msg = "it is empty"
            raise ValueError(msg)
        return text

    def to_example(self) -> dspy.Example:
        """The record as an example."""
        example = dspy.Example(text=self.text, label=self.label)
        return example.with_inputs("text")

    def stratum(self) -> tuple[str, ...]:
        """The kind of product."""
        return (self.kind,)

    def identity(self) -> str:
        """The text."""
        return self.text


def label_metric(example: Any, prediction: Any, trace: Any = None) -> Score:
    """Half for a readable label, half for the right product, in [0, 1]."""
    label = getattr(prediction, "label", None)
    if not isinstance(label, Label):
        return Score(0.0, feedback="no label", unusable="there is no label")
    right = example.label.product.lower() in label.product.lower()
    parts = {"readable": 1.0, "right": float(right)}
    feedback = "" if right else f"the product is {example.label.product}"
    return Score(0.5 + 0.5 * right, parts, rubric=None, feedback=feedback)


def raw_record(number: int, kind: str = "tool", text: str | None = None) -> dict:
    """One record as it stands in a raw file."""
    product = f"Item{number}"
    words = text or f"{product} is a {kind} of number {number} that costs {number} euro"
    label = {"product": product, "tags": [kind]}
    return {"text": words, "label": label, "kind": kind}


def write_records(path: Path, n: int) -> None:
    """So many distinct raw records, tools and books in turn."""
    kinds = [list(_WORDS)[number % len(_WORDS)] for number in range(n)]
    records = [
        raw_record(
            number, kind, f"Item{number} number {number} has {number} {_WORDS[kind]}"
        )
        for number, kind in enumerate(kinds)
    ]
    path.write_text("\n".join(json.dumps(record) for record in records))
