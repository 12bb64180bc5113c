"""Programs by the types of their fields."""

# A docstring would become part of the prompts:
# ruff: noqa: D101, D102, D103

from __future__ import annotations

import datetime
import decimal
import enum
import importlib.util
import typing
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import dspy
import pydantic
import typing_extensions
from dspy.experimental import Choice, Citations, Document, Noul, Score
from pydantic import BaseModel, Field, JsonValue

from . import Case

T = TypeVar("T")
DAY = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)


def asks(kind: Any, value: Any, answer: Any = None, needs: Any = "data") -> Case:
    """A predictor with an input and an output of the type."""
    said = value if answer is None else answer
    signature = dspy.Signature(
        {"given": (kind, dspy.InputField()), "made": (kind, dspy.OutputField())},
        "Do it.",
    )
    return Case(
        lambda: dspy.Predict(signature),
        asks=[{"given": value}],
        answers={"made": said},
        needs=needs,
    )


class Address(BaseModel):
    """Where somebody lives."""

    street: str = Field(description="Street", min_length=3)
    zip_code: str = Field(pattern=r"^\d{5}$")


class Person(BaseModel):
    name: str
    address: Address | None = None
    friends: list[Person] = []


@dataclass
class Tree:
    """A tree."""

    name: str
    children: list[Tree] = field(default_factory=list)


class Left(BaseModel):
    right: Right | None = None


class Right(BaseModel):
    left: Left | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Tags(pydantic.RootModel[list[str]]):
    """Tags."""


class Box(BaseModel, Generic[T]):
    item: T
    count: int = 1


class Area(BaseModel):
    width: int
    height: int = 2

    @pydantic.computed_field
    @property
    def area(self) -> int:
        """Its size."""
        return self.width * self.height


class Strict(BaseModel):
    model_config = pydantic.ConfigDict(validate_default=True, extra="forbid")

    n: int = 3
    text: Annotated[str, Field(min_length=1)] = "a"


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)


class Camel(BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=camel, populate_by_name=True)

    first_name: str
    last_name: str = "x"


class Aliased(BaseModel):
    given: str = Field(alias="givenName", description="first")
    family: str = Field(default="x", serialization_alias="familyName")


class Money(BaseModel):
    cents: int

    @pydantic.model_serializer
    def euros(self) -> str:
        return f"{self.cents / 100:.2f} EUR"

    @pydantic.model_validator(mode="before")
    @classmethod
    def read(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"cents": round(float(value.split()[0]) * 100)}
        return value


class Dated(BaseModel):
    when: datetime.date

    @pydantic.field_serializer("when")
    def german(self, value: datetime.date) -> str:
        return value.strftime("%d.%m.%Y")


class Movie(typing_extensions.TypedDict, total=False):
    title: typing_extensions.Required[str]
    year: int
    key: typing_extensions.ReadOnly[str]


class Shot(typing_extensions.TypedDict):
    frame: int
    note: typing_extensions.NotRequired[str]


class Pair(typing.NamedTuple):
    a: int
    b: str = "b"


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mood(str, enum.Enum):  # noqa: UP042 -- as people write
    GOOD = "good"
    BAD = "bad"


@pydantic.dataclasses.dataclass
class Point:
    x: int
    y: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    x: int
    label: str = "l"


def loud(text: str) -> str:
    return text.upper()


Loud = Annotated[str, pydantic.AfterValidator(loud)]
Shown = Annotated[int, pydantic.PlainSerializer(lambda value: f"no. {value}")]
Trimmed = Annotated[str, pydantic.StringConstraints(strip_whitespace=True)]


class WithClassVar(dspy.Signature):
    """Use the limit."""

    LIMIT: ClassVar[int] = 3
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


class Base(dspy.Signature):
    """The base."""

    question: str = dspy.InputField(desc="asked")
    answer: str = dspy.OutputField()


class Derived(Base):
    """Derived from another."""

    hint: str = dspy.InputField(desc="may help")
    score: float = dspy.OutputField(ge=0, le=1)


class Event(dspy.Type):
    name: str

    def format(self) -> list[dict[str, Any]]:
        return [{"type": "text", "text": f"EVENT {self.name.upper()}"}]

    @classmethod
    def description(cls) -> str:
        return "An event in capitals"


class Text(dspy.Type):
    """A type that is shown as text."""

    body: str

    def format(self) -> str:
        return f"<<{self.body}>>"


class Branching(dspy.Module):
    """Decides by enums and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = dspy.Predict(Judging)
        self.red = dspy.Predict("question -> answer")
        self.blue = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        judged = self.judge(question=question)
        branch = self.red if judged.color is Color.RED else self.blue
        suffix = " (cat)" if isinstance(judged.pet, Cat) else ""
        high = " high" if judged.level > Level.LOW else ""
        return branch(question=question + suffix + high + judged.tag.upper())


class Judging(dspy.Signature):
    """Judge it."""

    question: str = dspy.InputField()
    color: Color = dspy.OutputField()
    pet: Cat | Dog = dspy.OutputField()
    level: Level = dspy.OutputField()
    tag: Loud = dspy.OutputField()


class Methodical(BaseModel):
    """A model with methods that the program calls."""

    words: list[str]

    def joined(self) -> str:
        return "-".join(self.words)


class Calling(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        signature = dspy.Signature("question -> made: str").with_updated_fields(
            "made", type_=Methodical
        )
        self.first = dspy.Predict(signature)
        self.second = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        made = self.first(question=question).made
        return self.second(question=made.joined())


def local() -> Any:
    """Types that no import finds."""

    class Mark(BaseModel):
        value: int = Field(ge=1)

    class Grade(enum.Enum):
        A = "a"
        B = "b"

    signature = dspy.Signature(
        {
            "text": (str, dspy.InputField()),
            "mark": (Mark, dspy.OutputField()),
            "grade": (Grade, dspy.OutputField()),
        },
        "Grade it.",
    )
    return dspy.Predict(signature)


def created() -> Any:
    """A model made at run time."""
    model = pydantic.create_model(
        "Made", n=(int, 3), name=(str, Field(description="d"))
    )
    signature = dspy.Signature(
        {"q": (str, dspy.InputField()), "made": (model, dspy.OutputField())}, "Do."
    )
    return dspy.Predict(signature)


PERSON = {"name": "Ann", "address": {"street": "Elm", "zip_code": "12345"}}


class Cited(dspy.Signature):
    """Answer from the documents."""

    documents: list[Document] = dspy.InputField()
    answer: str = dspy.OutputField()
    citations: Citations = dspy.OutputField()


TEAM: Any = Choice[("a", "money"), ("b", None), (1, "x"), (True, "y")]
RATING: Any = Score["poor", "fair", "good"]
NEW: Any = Noul[(True, "never seen"), (False, "seen")]


class Deciding(dspy.Signature):
    """Decide."""

    question: str = dspy.InputField()
    team: TEAM = dspy.OutputField(desc="who answers")
    is_new: Annotated[bool, NEW] = dspy.OutputField(desc="is it new")
    rating: RATING = dspy.OutputField(desc="how good")


CASES = {
    "HttpUrl": asks(pydantic.HttpUrl, "http://a.example/b"),
    "AnyUrl and FileUrl": asks(pydantic.AnyUrl | pydantic.FileUrl, "ftp://a.example/"),
    "dict of JsonValue": asks(dict[str, JsonValue], {"a": [1, {"b": None}]}),
    "AwareDatetime": asks(pydantic.AwareDatetime, DAY, DAY.isoformat()),
    "PastDate": asks(pydantic.PastDate, datetime.date(2020, 1, 2), "2020-01-02"),
    "Json": asks(pydantic.Json, '{"a": 1}'),
    "Json of a type": asks(pydantic.Json[list[int]], "[1, 2]"),
    "ByteSize": asks(pydantic.ByteSize, "3 MB"),
    "SecretStr": asks(pydantic.SecretStr, pydantic.SecretStr("canary"), "hush"),
    "UUID4": asks(
        pydantic.UUID4,
        uuid.UUID("c3a5f1e2-7b1d-4a3e-9a3b-2d1f6f0a1b2c"),
        "c3a5f1e2-7b1d-4a3e-9a3b-2d1f6f0a1b2c",
    ),
    "PositiveInt": asks(pydantic.PositiveInt, 3),
    "Base64Str": asks(pydantic.Base64Str, "aGk="),
    "StrictInt and confloat": asks(
        dict[str, pydantic.StrictInt | pydantic.confloat(gt=0)], {"a": 1}
    ),
    "FilePath": asks(pydantic.FilePath, "/etc/hostname", "/etc/passwd"),
    "ImportString": asks(list[pydantic.ImportString], ["math.pi"], None, "more"),
    "condecimal": asks(
        pydantic.condecimal(gt=0, max_digits=5), decimal.Decimal("1.50"), "2.25"
    ),
    "constr and conlist": asks(
        pydantic.conlist(pydantic.constr(pattern="^a"), min_length=1), ["ab"]
    ),
    "validator in Annotated": asks(Loud, "loud"),
    "serializer in Annotated": asks(list[Shown], [1, 2], None, "more"),
    "string constraints": asks(Trimmed, " a "),
    "discriminated union": asks(
        Annotated[Cat | Dog, Field(discriminator="kind")],
        Cat(kind="cat"),
        {"kind": "dog", "tricks": ["sit"]},
    ),
    "model with a discriminated union": asks(
        Owner, Owner(pet=Cat(kind="cat")), {"pet": {"kind": "dog"}}
    ),
    "model": asks(Person, Person(**PERSON), PERSON),
    "models of each other": asks(Left, Left(right=Right()), {"right": {"left": {}}}),
    "recursive dataclass": asks(
        Tree, Tree("a", [Tree("b")]), {"name": "a", "children": [{"name": "b"}]}
    ),
    "root model": asks(Tags, Tags(["a"]), ["b", "c"]),
    "generic model": asks(Box[int], Box[int](item=3), {"item": 4}),
    "generic model of a model": asks(
        Box[list[Address]], Box[list[Address]](item=[]), {"item": []}
    ),
    "computed field": asks(Area, Area(width=3), {"width": 4}, "class"),
    "validate_default": asks(Strict, Strict(), {"n": 4}),
    "alias generator": asks(Camel, Camel(first_name="A"), {"firstName": "B"}, "class"),
    "aliases": asks(Aliased, Aliased(givenName="A"), {"givenName": "B"}),
    "model serializer": asks(Money, Money(cents=150), "2.50 EUR", "class"),
    "field serializer": asks(
        Dated, Dated(when=datetime.date(2024, 5, 1)), {"when": "2024-05-02"}, "class"
    ),
    "typed dict, read only": asks(Movie, {"title": "M"}, {"title": "N", "year": 1931}),
    "typed dict, not required": asks(Shot, {"frame": 1}, {"frame": 2, "note": "n"}),
    "named tuple": asks(Pair, Pair(1), [2, "c"]),
    "pydantic dataclass": asks(Point, Point(1), {"x": 2}),
    "dataclass with slots": asks(Frozen, Frozen(x=1), {"x": 2}),
    "enums": asks(
        dict[str, Color | Level | Mood], {"a": Color.RED}, {"a": "blue", "b": "good"}
    ),
    "literals": asks(list[Literal["a", 1, True, None]], ["a", 1], ["a", None]),
    "datetimes": asks(
        dict[str, datetime.date | datetime.timedelta], {"a": DAY.date()}, {"a": "P1D"}
    ),
    "tuples and sets": asks(
        tuple[int, set[str], frozenset[int]],
        (1, {"a"}, frozenset({2})),
        [1, ["b"], [3]],
    ),
    "union of many": asks(int | float | str | None | list[int], [1, 2], "text"),
    "custom dspy type": asks(Event, Event(name="fair"), {"name": "party"}),
    "custom dspy type as text": asks(list[Text], [Text(body="b")], [{"body": "c"}]),
    "dspy.Code": asks(
        dspy.Code["python"], dspy.Code(code="x = 1"), "```python\ny\n```"
    ),
    "class beside a type": asks(Annotated[str, Address, Tree], "text"),
    "documents and citations": Case(
        lambda: dspy.Predict(Cited),
        asks=[{"documents": [Document(data="The sky is blue.", title="Sky")]}],
        answers={"citations": []},
        needs="data",
    ),
    "decisions": Case(
        lambda: dspy.Predict(Deciding),
        answers={
            "team": {"value": "b", "confidence": 0.5},
            "is_new": True,
            "rating": {"value": 1, "confidence": 0.5},
        },
        needs="data",
    ),
    "ClassVar on a signature": Case(lambda: dspy.Predict(WithClassVar), needs="data"),
    "signature of a signature": Case(
        lambda: dspy.ChainOfThought(Derived),
        asks=[{"question": "q", "hint": "h"}],
        answers={"score": 0.5},
        needs="data",
    ),
    "decides by types": Case(
        Branching,
        answers={
            "color": "red",
            "pet": {"kind": "cat"},
            "level": 2,
            "tag": "t",
        },
    ),
    "calls a model's method": Case(Calling, answers={"made": {"words": ["a", "b"]}}),
    "types of a function": Case(
        local,
        asks=[{"text": "t"}],
        answers={"mark": {"value": 2}, "grade": "b"},
        needs="data",
    ),
    "model made at run time": Case(
        created, asks=[{"q": "t"}], answers={"made": {"name": "n"}}, needs="data"
    ),
}
if importlib.util.find_spec("email_validator"):
    CASES["EmailStr"] = asks(pydantic.EmailStr, "a@b.example")
