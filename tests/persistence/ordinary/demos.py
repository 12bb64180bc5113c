"""Programs by what their demos hold."""

# A docstring would become part of the prompts:
# ruff: noqa: D103

import dataclasses
import datetime
import decimal
from typing import Any

import dspy
import numpy as np
import pandas as pd
import pydantic

from . import Case


class Place(pydantic.BaseModel):
    """A place."""

    name: str


class Checked(pydantic.BaseModel):
    """A place that is checked."""

    name: str = "p"
    size: int = 1

    @pydantic.field_validator("name", mode="before")
    @classmethod
    def strip(cls, value: Any) -> Any:
        """Without spaces."""
        return value.strip() if isinstance(value, str) else value


class Hooked(pydantic.BaseModel):
    """A place with a hook and a private attribute."""

    name: str = "p"
    _seen: int = pydantic.PrivateAttr(default=0)

    def model_post_init(self, _context: Any) -> None:
        """Count."""
        self._seen = len(self.name)


class Shown(pydantic.BaseModel):
    """A place that is shown its own way."""

    day: datetime.date

    @pydantic.field_serializer("day")
    def german(self, value: datetime.date) -> str:
        """As in German."""
        return value.strftime("%d.%m.%Y")


@dataclasses.dataclass
class Kept:
    """A record with a hook."""

    name: str = "k"

    def __post_init__(self) -> None:
        self.name = self.name.upper()


def look(thing: str) -> str:
    """Look at it."""
    return thing


def with_demos(signature: Any, *demos: dict[str, Any]) -> Any:
    program = dspy.Predict(signature)
    program.demos = [dspy.Example(demo) for demo in demos]
    return program


def asked(
    signature: Any, demo: dict[str, Any], ask: dict[str, Any], **more: Any
) -> Case:
    more.setdefault("needs", "data")
    return Case(lambda: with_demos(signature, demo), asks=[ask], **more)


def _dicts() -> Any:
    program = dspy.Predict("x -> y")
    program.demos = [{"x": (1,), "y": "a"}, {"x": {"k": [1]}, "y": "b"}]
    return program


PIXEL = "data:image/png;base64,iVBORw0KGgo="
DAY = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
ODD = {"x": "odd ones", "y": "z", "augmented": True, "extra": {1, 2}, "note": (1, 2)}


def typed(given: Any, **more: Any) -> Any:
    fields = {"given": (given, dspy.InputField()), "answer": (str, dspy.OutputField())}
    return dspy.Signature(fields | more, "Do.")


CASES = {
    "tools": asked(
        typed(list[dspy.Tool]),
        {"given": [dspy.Tool(look)], "answer": "a"},
        {"given": [dspy.Tool(look)]},
        needs="donor",
    ),
    "images": asked(
        typed(dspy.Image),
        {"given": dspy.Image(PIXEL), "answer": "a"},
        {"given": dspy.Image(PIXEL)},
    ),
    "history": asked(
        typed(dspy.History),
        {
            "given": dspy.History(messages=[{"given": "g", "answer": "b"}]),
            "answer": "a",
        },
        {"given": dspy.History(messages=[{"answer": "c"}])},
    ),
    "numpy": asked(
        "x -> y", {"x": np.arange(4.0).reshape(2, 2), "y": np.float32(1.5)}, {"x": "1"}
    ),
    "pandas": asked(
        "x -> y",
        {"x": pd.DataFrame({"a": [1, 2]}), "y": pd.Timestamp(DAY)},
        {"x": "1"},
        needs="more",
    ),
    "tuples and sets": asked(
        "x -> y", {"x": (1, ("a", [2])), "y": frozenset({3})}, {"x": "1"}
    ),
    "times and decimals": asked(
        "x -> y", {"x": DAY, "y": decimal.Decimal("1.50")}, {"x": "1"}
    ),
    "models": asked(
        typed(list[Place]),
        {"given": [Place(name="p")], "answer": "a"},
        {"given": [Place(name="q")]},
    ),
    "models with validators": asked(
        typed(list[Checked]),
        {"given": [Checked(name="p ")], "answer": "a"},
        {"given": [Checked(name="q")]},
        needs="class",
    ),
    "models with hooks": asked(
        typed(Hooked),
        {"given": Hooked(name="p"), "answer": "a"},
        {"given": Hooked(name="q")},
        needs="class",
    ),
    "models with serializers": asked(
        typed(Shown),
        {"given": Shown(day=DAY.date()), "answer": "a"},
        {"given": Shown(day=DAY.date())},
        needs="class",
    ),
    "dataclasses with hooks": asked(
        typed(dict[str, Kept]),
        {"given": {"a": Kept()}, "answer": "a"},
        {"given": {"b": Kept("c")}},
        needs="class",
    ),
    "classes in plain fields": asked(
        "x -> y",
        {"x": [Checked(), Hooked(), Shown(day=DAY.date()), Kept()], "y": Checked()},
        {"x": "1"},
        needs="class",
    ),
    "more than its fields": asked("x -> y", ODD, {"x": "1"}),
    "none and missing": asked("x, w -> y", {"x": None, "y": "a"}, {"x": "1", "w": "2"}),
    "predictions and examples": asked(
        "x -> y",
        {"x": dspy.Example(a=1).with_inputs("a"), "y": dspy.Prediction(b=[1])},
        {"x": "1"},
    ),
    "plain dicts": Case(_dicts, asks=[{"x": "1"}], needs="data", learned=False),
    "nan and big numbers": asked(
        "x -> y", {"x": [float("nan"), float("-inf"), 10**30], "y": -0.0}, {"x": "1"}
    ),
    "bytes and surrogates": asked(
        "x -> y", {"x": b"\x00\xff", "y": "a\udcff\u2028"}, {"x": "1"}
    ),
    "tool calls": asked(
        "x -> y",
        {
            "x": dspy.ToolCalls.from_dict_list(
                [{"name": "look", "args": {"thing": "t"}}]
            ),
            "y": "b",
        },
        {"x": "1"},
    ),
    "long text": asked("x -> y", {"x": "é " * 9000, "y": "b"}, {"x": "1"}),
}
