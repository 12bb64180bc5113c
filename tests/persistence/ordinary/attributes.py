"""Programs by what they keep in their attributes."""

# A docstring would become part of the prompts:
# ruff: noqa: D101, D102, D103

import collections
import dataclasses
import datetime
import enum
import functools
import itertools
import logging
import pathlib
import random
import re
import string
import threading
import types
from typing import Any, ClassVar

import dspy
import numpy as np
import pandas as pd
import pydantic

from . import Case

QA = "context, question -> answer"


class Holder(dspy.Module):
    """Shows the LM everything it keeps."""

    def __init__(self, **kept: Any) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)
        for name, value in kept.items():
            setattr(self, name, value)
        self.names = sorted(kept)

    def forward(self, question: str) -> Any:
        context = [f"{name}={getattr(self, name)!r}" for name in self.names]
        return self.answer(context=context, question=question)


class OwnNames(dspy.Module):
    """Names that DSPy's Predict has, on a program of somebody's own."""

    def __init__(self) -> None:
        super().__init__()
        self.lm = None
        self.config: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}
        self.train: list[Any] = []
        self.traces: list[Any] = []
        self.demos: list[Any] = []
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        kept = [self.lm, self.config, self.fields, self.train, self.traces, self.demos]
        self.train.append(question)
        return self.answer(context=repr(kept), question=question)


class OwnNamesFilled(OwnNames):
    def __init__(self) -> None:
        super().__init__()
        self.config = {"style": "brief"}
        self.fields = {"answer": "the answer"}
        self.train = [dspy.Example(question="1", answer="2").with_inputs("question")]
        self.demos = ["see above", {"question": "q"}]


class Search(enum.Enum):
    FAST = "fast"
    DEEP = "deep"


class Settings(pydantic.BaseModel):
    search: Search = Search.FAST
    limit: int = pydantic.Field(default=3, ge=1)


@dataclasses.dataclass
class Options:
    top: int = 3
    tags: list[str] = dataclasses.field(default_factory=list)
    search: Search = Search.FAST


class Configured(dspy.Module):
    def __init__(self, settings: Settings, options: Options) -> None:
        super().__init__()
        self.settings = settings
        self.options = options
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        deep = self.settings.search is Search.DEEP
        context = ["deep" if deep else "fast", *self.options.tags]
        return self.answer(context=context[: self.options.top], question=question)


class Config:
    """A plain object for settings."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class PlainObject(dspy.Module):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self.cfg = Config(limit=limit)
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        limit = getattr(self.cfg, "limit", 1)
        return self.answer(context=str(limit), question=question)


class Client:
    """A service's client: a lock, an address, a key."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url, self.api_key = url, api_key
        self._lock = threading.Lock()

    def search(self, query: str, k: int) -> list[str]:
        with self._lock:
            return [f"{self.url} {query} {i}" for i in range(k)]


class WithClient(dspy.Module):
    def __init__(self, client: Any, k: int = 3) -> None:
        super().__init__()
        self.client = client
        self.k = k
        self.answer = dspy.ChainOfThought(QA)

    def forward(self, question: str) -> Any:
        return self.answer(
            context=self.client.search(question, self.k), question=question
        )


class Forgiving(WithClient):
    """Goes on when the client fails, as services are written."""

    def forward(self, question: str) -> Any:
        try:
            context = self.client.search(question, self.k)
        except Exception:  # noqa: BLE001 as people write
            context = []
        return self.answer(context=context, question=question)


class Optional(dspy.Module):
    """Does without what is not there."""

    def __init__(self, rerank: Any = None) -> None:
        super().__init__()
        self.rerank = rerank
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        context = ["b", "a"]
        if self.rerank:
            context = self.rerank(context)
        if callable(getattr(self, "extra", None)):
            context = [*context, "extra"]
        return self.answer(context=context, question=question)


class Slots(dspy.Module):
    __slots__ = ("fast",)

    def __init__(self) -> None:
        super().__init__()
        self.fast = 7
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(context=str(getattr(self, "fast", 0)), question=question)


class ClassLevel(dspy.Module):
    limit: ClassVar[int] = 3
    answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(context=str(self.limit), question=question)


def class_level() -> Any:
    program = ClassLevel()
    program.limit = 9
    program.answer = dspy.Predict(QA, temperature=0.4)
    return program


class Private(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.__hidden = 4
        self._shy = (1, 2)
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(context=f"{self.__hidden} {self._shy}", question=question)


def private() -> Any:
    program = Private()
    program._Private__hidden = 5
    program._shy = (3, 4)
    return program


class Properties(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self._k = 1
        self.answer = dspy.Predict(QA)

    @property
    def k(self) -> int:
        return self._k * 10

    @k.setter
    def k(self, value: int) -> None:
        self._k = value

    @functools.cached_property
    def table(self) -> list[int]:
        return list(range(self._k))

    def forward(self, question: str) -> Any:
        return self.answer(context=f"{self.k} {self.table}", question=question)


def properties() -> Any:
    program = Properties()
    program.k = 2
    assert program.table
    program.k = 3
    return program


class Magic(dspy.Module):
    """Every unknown attribute has a value."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)
        self.known = "known"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return f"made up {name}"

    def forward(self, question: str) -> Any:
        return self.answer(context=[self.known, self.unknown], question=question)


class Setting(dspy.Module):
    """Checks what is set."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value * 2 if name == "size" else value)

    def __init__(self) -> None:
        super().__init__()
        self.size = 4
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(context=str(self.size), question=question)


class Counting(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n_calls = 0
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        self.n_calls += 1
        return self.answer(context=str(self.n_calls), question=question)


class Numbered(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.counter = itertools.count(5)
        self.dice = random.Random(3)  # noqa: S311 no secret
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        context = f"{next(self.counter)} {self.dice.random()}"
        return self.answer(context=context, question=question)


class Patterns(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pattern = re.compile(r"\d+", re.ASCII)
        self.template = string.Template("$q, please")
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        numbers = self.pattern.findall(question)
        asked = self.template.substitute(q=question)
        return self.answer(context=numbers, question=asked)


class Logging(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.logger = logging.getLogger(__name__)
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        self.logger.debug("asked")
        return self.answer(context=self.logger.name[-3:], question=question)


def values() -> Any:
    return Holder(
        pair=(1, ("a", [2])),
        chosen={"b"},
        fixed=frozenset({3}),
        day=datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
        place=pathlib.PurePosixPath("a/b"),
        counts=collections.Counter("aab"),
        ordered=collections.OrderedDict(b=1, a=2),
        by_number={1: "x", (2, 3): "y", None: "z"},
        search=Search.DEEP,
        array=np.arange(4).reshape(2, 2),
        nothing=None,
        space=types.SimpleNamespace(a=1, b=[2]),
        nested={"a": {"b": [{"c": (1,)}]}},
        text="é\ud800",
        big=10**40,
    )


ROWS = [{"name": "Ann", "n": 1}, {"name": "Bo", "n": 2}]
CASES = {
    "lm None, config {} and the like": Case(OwnNames),
    "config, fields, demos of its own": Case(OwnNamesFilled),
    "values of all kinds": Case(values),
    "settings as model and dataclass": Case(
        lambda: Configured(
            Settings(search=Search.DEEP, limit=4), Options(2, ["x", "y"], Search.DEEP)
        )
    ),
    "plain object": Case(lambda: PlainObject(7), needs="donor"),
    "client with lock and key": Case(
        lambda: WithClient(Client("http://db", "sk-canary"), 2), needs="donor"
    ),
    "client of a forgiving program": Case(
        lambda: Forgiving(Client("http://db", "sk-canary"), 2), needs="donor"
    ),
    "optional function is none": Case(Optional),
    "optional function": Case(lambda: Optional(sorted), needs="donor"),
    "slots": Case(Slots, needs="more"),
    "class-level predictor": Case(class_level),
    "private names": Case(private),
    "properties": Case(properties),
    "__getattr__": Case(Magic),
    "__setattr__": Case(Setting),
    "counter": Case(Counting, asks=[{"question": "1"}, {"question": "2"}]),
    "iterator and random state": Case(Numbered, needs="donor"),
    "pattern and template": Case(
        Patterns, asks=[{"question": "12 and 3"}], needs="donor"
    ),
    "logger": Case(Logging, needs="donor"),
    "data frame": Case(lambda: Holder(frame=pd.DataFrame(ROWS)), needs="donor"),
    "reserved words": Case(
        lambda: Holder(**{"$": 1, "class": "c", "state": {"$": "x"}, "id": 3})
    ),
    "types as values": Case(lambda: Holder(kinds=[int, list[str], str | None])),
    "score of an optimizer": Case(lambda: Holder(score=0.5)),
}
