"""Typed outputs: models, enums, literals, lists, dicts; and what forward may return."""

import enum
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

import dspy
import pydantic


class Category(str, enum.Enum):
    order = "order"
    complaint = "complaint"
    question = "question"


class Form(pydantic.BaseModel):
    """A filled-in form."""

    person: str
    city: str
    items: list[str] = pydantic.Field(default_factory=list, max_length=8)
    count: int = pydantic.Field(ge=0)
    amount: float
    category: Literal["order", "complaint", "question"]
    urgency: Optional[str] = None


class Triage(dspy.Signature):
    """Sort the message."""

    message: str = dspy.InputField(desc="as it came in")
    category: Literal["order", "complaint", "question"] = dspy.OutputField()
    urgency: Literal["low", "medium", "high"] = dspy.OutputField(
        desc="for the customer"
    )


class Classify(dspy.Signature):
    """Which kind of message is it?"""

    message: str = dspy.InputField()
    label: Category = dspy.OutputField()


class FillForm(dspy.Signature):
    """Fill in the form."""

    message: str = dspy.InputField()
    form: Form = dspy.OutputField()


class FillForms(dspy.Signature):
    """Fill in a form for each order in the message."""

    message: str = dspy.InputField()
    forms: list[Form] = dspy.OutputField()


class Numbers(dspy.Signature):
    """Read the numbers."""

    message: str = dspy.InputField()
    count: int = dspy.OutputField()
    amount: float = dspy.OutputField()
    urgent: bool = dspy.OutputField()


class Look(dspy.Signature):
    """Read the scan of a letter; the message says which one it is."""

    message: str = dspy.InputField()
    scan: dspy.Image = dspy.InputField()
    city: str = dspy.OutputField()


triage = dspy.Predict(Triage)
classify = dspy.ChainOfThought(Classify)
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Extract(dspy.Module):
    def __init__(self):
        super().__init__()
        self.fill = dspy.ChainOfThought(FillForm)

    def forward(self, message: str) -> dspy.Prediction:
        return self.fill(message=message)


class ReturnsModel(Extract):
    def forward(self, message: str) -> Form:
        return self.fill(message=message).form


class ReturnsList(dspy.Module):
    def __init__(self):
        super().__init__()
        self.fill = dspy.Predict(FillForms)

    def forward(self, message: str) -> list[Form]:
        return self.fill(message=message).forms


class ReturnsText(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("message -> answer")

    def forward(self, message):
        return self.answer(message=message).answer.strip()


class ReturnsDict(dspy.Module):
    def __init__(self):
        super().__init__()
        self.numbers = dspy.Predict(Numbers)

    def forward(self, message):
        read = self.numbers(message=message)
        return {"count": read.count, "amount": read.amount, "urgent": read.urgent}


class Scan(dspy.Module):
    """Makes the image itself, as those do who load it by its name."""

    def __init__(self):
        super().__init__()
        self.look = dspy.Predict(Look)

    def forward(self, message):
        return self.look(message=message, scan=dspy.Image(PIXEL))


@dataclass
class Profile:
    """What is known of a customer."""

    name: str = "unknown"
    notes: list[str] = field(default_factory=list)


class Typed(dspy.Module):
    """Inputs that text cannot stand for: a dataclass, a dict of lists, anything."""

    def __init__(self):
        super().__init__()
        self.read = dspy.Predict(
            dspy.Signature(
                {
                    "message": (str, dspy.InputField()),
                    "profile": (Profile, dspy.InputField()),
                    "limits": (dict[str, list[int]], dspy.InputField()),
                    "more": (Any, dspy.InputField()),
                    "pieces": (list[str], dspy.OutputField()),
                },
                "Name the pieces in the alphabet's order.",
            )
        )

    def forward(self, message):
        profile = Profile(notes=[message[:10]])
        return self.read(
            message=message, profile=profile, limits={"pieces": [1, 9]}, more=None
        )


class Checked(dspy.Module):
    """Raises on what it does not like, as people's asserts do."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("message -> city, pieces: list[str]")

    def forward(self, message):
        answer = self.answer(message=message)
        assert "K14" not in message, "no answers on K14"
        first = sorted(answer.pieces)[2 if "K16" in message else 0]
        return dspy.Prediction(city=answer.city, first=first)


def both_right(example, prediction, trace=None, pred_name=None, pred_trace=None):
    """As GEPA's examples have it: five arguments, feedback for the predictor."""
    gold = example.answer
    right = [
        prediction.category == gold["category"],
        prediction.urgency == gold["urgency"],
    ]
    score = sum(right) / 2
    if pred_name is None:
        return score
    return dspy.Prediction(score=score, feedback=f"It is {gold['category']}.")


def label_right(example, prediction, trace=None) -> bool:
    return prediction.label.value == example.kind


def form_share(example, prediction, trace=None):
    form = prediction.form if hasattr(prediction, "form") else prediction
    gold = example.expected
    same = [getattr(form, name) == gold[name] for name in ("person", "city", "count")]
    if trace is not None:
        return all(same)
    return sum(same) / len(same)


def first_form(example, prediction, trace=None):
    return float(bool(prediction) and prediction[0].city == example.town)


def text_right(example, prediction, trace=None):
    return float(example.town.lower() in prediction.lower())


def numbers_right(example, prediction, trace=None):
    return (prediction["count"] == example.pieces) * 0.5 + 0.5 * (
        abs(prediction["amount"] - example.price) < 0.01
    )


def items_f1(example, prediction, trace=None):
    right, given = set(example.expected), set(prediction.pieces)
    both = len(right & given)
    if not both:
        return 0
    precision, recall = both / len(given), both / len(right)
    return 2 * precision * recall / (precision + recall)
