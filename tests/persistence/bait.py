"""What a hostile document would like to run, in the package of its victim.

Everything here notes when it runs. Loading may import it; nothing of it may run.
"""

# ruff: noqa: D102

import dataclasses
import enum
import typing
from typing import Any

import dspy
import pydantic

PULLED: list[str] = []


def pull(*_args: Any, **_kwargs: Any) -> str:
    """A function of one argument, or any."""
    PULLED.append("pull")
    return "pulled"


def pull_one(value: Any) -> str:
    """A function that fits where pydantic wants one of one argument."""
    PULLED.append("pull_one")
    return str(value)


async def pull_later(*_args: Any) -> None:
    """A coroutine."""
    PULLED.append("pull_later")


def decorated(function: Any) -> Any:
    """A decorator."""
    PULLED.append("decorated")
    return function


class Plain:
    """Neither program nor data."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        PULLED.append("Plain.__init__")

    def __call__(self, *_args: Any, **_kwargs: Any) -> None:
        """Run."""
        PULLED.append("Plain.__call__")

    @classmethod
    def make(cls, *_args: Any) -> None:
        """A class method."""
        PULLED.append("Plain.make")

    @staticmethod
    def static(*_args: Any) -> None:
        """A static method."""
        PULLED.append("Plain.static")


class Program(dspy.Module):
    """A program whose constructor has effects."""

    def __init__(self, path: Any = None, **_kwargs: Any) -> None:
        super().__init__()
        PULLED.append("Program.__init__")
        self.path = path
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        PULLED.append("Program.forward")
        return self.answer(question=question)

    def dangerous(self, *_args: Any) -> None:
        """A method."""
        PULLED.append("Program.dangerous")


class Model(pydantic.BaseModel):
    """A model with validators."""

    name: str = "n"
    number: int = 1

    @pydantic.field_validator("name", mode="before")
    @classmethod
    def check(cls, value: Any) -> Any:
        PULLED.append("Model.check")
        return value

    def model_post_init(self, _context: Any) -> None:
        """After validation."""
        PULLED.append("Model.model_post_init")


class Kind(enum.Enum):
    """An enum that looks values up itself."""

    A = "a"

    @classmethod
    def _missing_(cls, _value: Any) -> Any:
        PULLED.append("Kind._missing_")
        return cls.A


@dataclasses.dataclass
class Record:
    """A dataclass with a hook."""

    name: str = "n"

    def __post_init__(self) -> None:
        PULLED.append("Record.__post_init__")

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        PULLED.append("Record.__setattr__")


class Pair(typing.NamedTuple):
    """A named tuple."""

    a: int = 1


class Language(dspy.LM):
    """An LM of the victim's own."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        PULLED.append("Language.__init__")


class Signature(dspy.Signature):
    """Answer."""

    question: str = dspy.InputField()
    answer: Kind = dspy.OutputField()
    model: Model = dspy.OutputField()
    record: Record = dspy.OutputField()


def program() -> Any:
    """A program of it all, with demos."""
    made = Program("path")
    made.typed = dspy.Predict(Signature)
    made.typed.demos = [
        dspy.Example(question="q", answer=Kind.A, model=Model(), record=Record())
    ]
    made.pair = Pair(2)
    made.reward = pull
    made.language = dspy.LM("openai/x")
    made.agent = dspy.ReAct("question -> answer", tools=[pull])
    return made
