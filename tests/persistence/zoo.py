"""Programs as people write them: what every stored format is measured on."""

# A docstring would become part of the prompts; old typing names are part of the zoo:
# ruff: noqa: D101, D102, D103, UP045

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import threading
import typing
import uuid
import zoneinfo
from typing import Annotated, Any, Literal, Optional

import dspy
import numpy as np
import pydantic
import typing_extensions
from pydantic import BaseModel, Field


class Color(enum.Enum):
    """A color."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mood(str, enum.Enum):  # noqa: UP042 -- as people write
    GOOD = "good"
    BAD = "bad"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Address(BaseModel):
    """Where somebody lives."""

    street: str = Field(description="Street and number", min_length=3)
    zip_code: str = Field(pattern=r"^\d{5}$", examples=["12345"])
    floors: list[int] = Field(default_factory=list, max_length=4)


class Person(BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", title="A person")

    name: Annotated[str, Field(min_length=1)]
    age: int = Field(default=30, ge=0, lt=150)
    address: Address | None = None
    color: Color = Color.RED
    friends: list["Person"] = []


class Left(BaseModel):
    right: "Right | None" = None


class Right(BaseModel):
    left: Left | None = None
    n: int = 0


class Checked(BaseModel):
    """Has code: validators, a serializer, a computed field, a private attribute."""

    when: datetime.date
    price: decimal.Decimal = decimal.Decimal("1.50")
    _seen: int = pydantic.PrivateAttr(default=3)

    @pydantic.field_validator("price")
    @classmethod
    def _positive(cls, value: decimal.Decimal) -> decimal.Decimal:
        if value < 0:
            raise ValueError(value)
        return value

    @pydantic.field_serializer("when")
    def _german(self, value: datetime.date) -> str:
        return value.strftime("%d.%m.%Y")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def year(self) -> int:
        """The year of `when`."""
        return self.when.year


T = typing.TypeVar("T")


class Box(BaseModel, typing.Generic[T]):
    item: T
    count: int = 1


class Tags(pydantic.RootModel[list[str]]):
    """A list of tags."""


class Event(dspy.Type):
    """A DSPy type of the project's own."""

    name: str

    def format(self) -> list[dict[str, Any]]:
        """How the LM sees it."""
        return [{"type": "text", "text": f"EVENT {self.name.upper()}"}]

    @classmethod
    def description(cls) -> str:
        """What the LM is told about it."""
        return "An event in capitals"


@dataclasses.dataclass(frozen=True)
class Point:
    """A point."""

    x: int
    y: int = 2


class Pair(typing.NamedTuple):
    a: int
    b: str = "b"


class Movie(typing_extensions.TypedDict, total=False):
    title: typing_extensions.Required[str]
    year: int


UserId = typing.NewType("UserId", int)


def shout(text: str) -> str:
    return text.upper()


class Typed(dspy.Signature):
    """Use every kind of type."""

    person: Person = dspy.InputField(desc="who")
    movie: Movie = dspy.InputField()
    box: Box[int] = dspy.OutputField()
    tags: Tags = dspy.OutputField()
    left: Left = dspy.OutputField()
    point: Point = dspy.OutputField(desc="where")
    pair: Pair = dspy.OutputField()
    color: Color = dspy.OutputField()
    level: Optional[Level] = dspy.OutputField()
    either: int | str | None = dspy.OutputField()
    deep: dict[str, list[tuple[int, ...]]] = dspy.OutputField()
    lit: Literal["a", 1, True, None] = dspy.OutputField()
    old: typing.List[typing.Dict[str, int]] = dspy.OutputField()  # noqa: UP006
    user: UserId = dspy.OutputField()
    when: datetime.datetime = dspy.OutputField()
    checked: Checked = dspy.OutputField()
    loud: Annotated[str, pydantic.AfterValidator(shout)] = dspy.OutputField()


class Constrained(dspy.Signature):
    """Keep to the bounds."""

    n: int = dspy.InputField(ge=1, le=10, desc="a number", default=3)
    text: str = dspy.InputField(min_length=2, max_length=9, default="abc")
    ratio: float = dspy.OutputField(gt=0, lt=1, multiple_of=0.5)
    code: str = dspy.OutputField(pattern="^[a-z]+$", title="Code", examples=["ab"])
    items: list[str] = dspy.OutputField(default_factory=list)


class Media(dspy.Signature):
    """See and remember."""

    image: dspy.Image = dspy.InputField()
    history: dspy.History = dspy.InputField()
    event: Event = dspy.InputField()
    code: dspy.Code["python"] = dspy.OutputField()  # noqa: F821
    events: list[Event] = dspy.OutputField()


def weather(city: str, days: int = 1) -> str:
    """The weather of a city."""
    return f"{city} {days}"


def reward(_args: Any, _pred: Any) -> float:
    """Always the best."""
    return 1.0


def vectorize(texts: list[str]) -> Any:
    """Lengths as vectors."""
    return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


QA = "question -> answer"


class Plain(dspy.Module):
    """The smallest program of somebody's own."""

    def __init__(self, top_k: int = 3) -> None:
        super().__init__()
        self.top_k = top_k
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=question)


class Careful(dspy.Predict):
    """A Predict of the project's own."""


class Nested(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Plain()
        self.many = [dspy.Predict("a -> b"), dspy.ChainOfThought("c -> d: int")]
        self.named = {"x": dspy.Predict("e -> f"), "y z": Plain()}
        self.pair = (dspy.Predict("g -> h"), 7)
        self.shared = self.many[0]

    def forward(self, question: str) -> Any:
        return self.inner(question=question)


class Holding(dspy.Module):
    """Holds what no document can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.ChainOfThought(QA)
        self.lock = threading.Lock()
        self.file = pathlib.Path(__file__).open()  # noqa: SIM115
        self.client = object()
        self.key = lambda text: text[::-1]
        self.lm = dspy.LM("openai/x", api_key="sk-canary-1", api_base="http://canary-2")
        self.api_key = "sk-canary-3"
        self.headers = {"Authorization": "canary-4"}
        self.secret = pydantic.SecretStr("canary-5")

    def forward(self, question: str) -> Any:
        with self.lock:
            return self.answer(question=self.key(question))


class Agent(dspy.Module):
    """A ReAct with a closure for a tool, as people write them."""

    def __init__(self, suffix: str = "!") -> None:
        super().__init__()
        self.suffix = suffix

        def exclaim(text: str) -> str:
            """Add emphasis."""
            return text + suffix

        self.act = dspy.ReAct(QA, tools=[weather, exclaim], max_iters=3)

    def forward(self, question: str) -> Any:
        return self.act(question=question)


class Everything(dspy.Module):
    """Attributes of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)
        self.values = VALUES

    def forward(self, question: str) -> Any:
        return self.answer(question=question)


VALUES: dict[str, Any] = {
    "tuple": (1, (2, [3])),
    "set": {1, 2},
    "frozen": frozenset({"a", "b"}),
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"ab"),
    "decimal": decimal.Decimal("1.10"),
    "fraction": fractions.Fraction(1, 3),
    "complex": 1 + 2j,
    "nan": float("nan"),
    "inf": float("-inf"),
    "minus zero": -0.0,
    "big": 10**60,
    "negative": -(10**30),
    "surrogate": "a\ud800b",
    "date": datetime.date(2024, 2, 29),
    "naive": datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
    "utc": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "zone": datetime.datetime(
        2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Madrid")
    ),
    "time": datetime.time(1, 2, 3),
    "delta": datetime.timedelta(days=-1, microseconds=5),
    "uuid": uuid.UUID(int=7),
    "path": pathlib.PurePosixPath("a/b"),
    "int keys": {1: "a", (2, 3): "b", None: "c"},
    "dollar": {"$": "tuple", "items": [1]},
    "ordered": collections.OrderedDict(b=1, a=2),
    "counter": collections.Counter("aab"),
    "default": collections.defaultdict(list, a=[1]),
    "deque": collections.deque([1, 2], maxlen=3),
    "range": range(1, 9, 2),
    "numpy": np.float32(1.5),
    "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "enum": [Color.RED, Level.HIGH, Mood.BAD, Rights.READ | Rights.WRITE],
    "point": Point(1),
    "pair": Pair(1, "x"),
    "person": Person(name="Ann", nick="A", friends=[Person(name="Bo")]),
    "checked": Checked(when=datetime.date(2024, 5, 1)),
    "box": Box[int](item=3),
    "tags": Tags(["a", "b"]),
    "event": Event(name="fair"),
    "type": list[int] | None,
    "class": Person,
    "example": dspy.Example(q=1, a=(2,)).with_inputs("q"),
    "prediction": dspy.Prediction(answer="x"),
    "signature": dspy.Signature("q -> a", "Reply."),
    "é ñ": "ключ",
}


def demo(**extra: Any) -> dspy.Example:
    """A question with its answer."""
    return dspy.Example(question="q?", answer="a!", **extra).with_inputs("question")


def with_demos(program: Any, *demos: Any) -> Any:
    """The program, each predictor with these demos."""
    for predictor in program.predictors():
        predictor.demos = list(demos)
    return program


def improved(program: Any, instructions: str = "Reply in verse, señor ☃.") -> Any:
    """The program as MIPROv2 leaves it: other instructions, demos, search history."""
    for predictor in program.predictors():
        predictor.signature = predictor.signature.with_instructions(instructions)
        predictor.demos = [demo(augmented=True), {"question": "two", "answer": "2"}]
    program.trial_logs = {1: {"full_eval_program": program.deepcopy()}}
    program.candidate_programs = [{"score": 1.0, "program": program.deepcopy()}]
    program.score = 87.5
    return program


def typed_demo() -> dspy.Example:
    """A demo with a value of every kind of type."""
    return dspy.Example(
        person=VALUES["person"],
        movie={"title": "M", "year": 1931},
        box=Box[int](item=1),
        tags=Tags(["t"]),
        left=Left(right=Right(left=Left(), n=2)),
        point=Point(3, 4),
        pair=Pair(5),
        color=Color.BLUE,
        level=Level.LOW,
        either=None,
        deep={"k": [(1, 2), (3,)]},
        lit=1,
        old=[{"a": 1}],
        user=UserId(9),
        when=VALUES["utc"],
        checked=VALUES["checked"],
        loud="LOUD",
    ).with_inputs("person", "movie")


def media_demo() -> dspy.Example:
    """A demo with an image, a history and a type of the project's own."""
    return dspy.Example(
        image=dspy.Image("data:image/png;base64,iVBORw0KGgo="),
        history=dspy.History(messages=[{"image": "i", "code": "c"}]),
        event=Event(name="fair"),
        code="print(1)",
        events=[Event(name="one"), Event(name="two")],
    )


def local_signature() -> Any:
    """A program whose types no import can find."""

    class Mark(BaseModel):
        value: int = Field(ge=1)

    class Grade(enum.Enum):
        A = 1

    class Local(dspy.Signature):
        """Grade it."""

        text: str = dspy.InputField()
        mark: Mark = dspy.OutputField()
        grade: list[Grade] = dspy.OutputField()

    made = dspy.Predict(Local)
    made.demos = [dspy.Example(text="t", mark=Mark(value=2), grade=[Grade.A])]
    return made


def local_program() -> Any:
    """A program whose class no import can find."""

    class Local(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = dspy.Predict(QA)
            self.two = dspy.Predict("x -> y")

        def forward(self, question: str) -> Any:
            return self.one(question=question)

    return improved(Local())


def frozen() -> Any:
    """A program with a sub-module that was optimized before and is frozen."""
    program = Nested()
    improved(program.inner)
    program.inner._compiled = True
    return program


def knn_compiled() -> Any:
    """What KNNFewShot makes: a program whose forward is a closure."""
    trainset = [demo(), demo()]
    return dspy.KNNFewShot(1, trainset, vectorizer=vectorize).compile(Plain())


def unpicklable() -> Any:
    """A program that holds what dill cannot pickle."""
    program = Plain()
    program.stream = (i for i in range(3))
    return program


def labeled() -> Any:
    """What LabeledFewShot makes."""
    return dspy.LabeledFewShot(k=2).compile(Plain(), trainset=[demo(), demo()])


def bootstrapped() -> Any:
    """What BootstrapFewShot makes, with an LM that answers by rote."""
    from dspy.utils import DummyLM  # noqa: PLC0415

    with dspy.context(lm=DummyLM([{"answer": "a!"}] * 20)):
        optimizer = dspy.BootstrapFewShot(max_bootstrapped_demos=1, max_labeled_demos=1)
        return optimizer.compile(Plain(), trainset=[demo(), demo()])


def reordered() -> Any:
    """A signature whose outputs stand before its inputs, with a field renamed."""
    signature = dspy.Signature(
        {"z": (str, dspy.OutputField(desc="last")), "a": (int, dspy.InputField())},
        "Do.",
    )
    return dspy.Predict(
        signature.with_updated_fields("z", desc="first", type_=list[int])
    )


def with_lm() -> Any:
    """A program with LMs set on it, as optimizers leave them."""
    program = improved(Plain())
    program.set_lm(
        dspy.LM("openai/x", api_key="sk-canary-6", headers={"k": "canary-7"})
    )
    program.answer.config = {"temperature": 0.5, "api_key": "sk-canary-8"}
    return program


def parallel() -> Any:
    """A program that runs its predictors in parallel."""

    class Many(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = dspy.Predict(QA)
            self.runner = dspy.Parallel(num_threads=2)

        def forward(self, questions: list[str]) -> Any:
            return self.runner([(self.one, {"question": q}) for q in questions])

    return Many()


ZOO: dict[str, typing.Callable[[], Any]] = {
    "predict string": lambda: dspy.Predict(QA),
    "predict string typed": lambda: dspy.Predict(
        "q: int, k: list[str] -> a: float, b: bool"
    ),
    "predict class": lambda: dspy.Predict(Constrained),
    "predict class improved": lambda: improved(dspy.Predict(Constrained)),
    "predict typed": lambda: with_demos(dspy.Predict(Typed), typed_demo()),
    "predict media": lambda: with_demos(dspy.Predict(Media), media_demo()),
    "predict config": lambda: dspy.Predict(QA, temperature=0.3, n=2, stop=["x"]),
    "predict local types": local_signature,
    "predict reordered": reordered,
    "predict 200 kB": lambda: improved(dspy.Predict(QA), "Reply briefly. é " * 12_000),
    "predict values in demos": lambda: with_demos(
        dspy.Predict(QA), *[demo(extra=value) for value in VALUES.values()]
    ),
    "predict tuple in demo": lambda: with_demos(
        dspy.Predict("xs: list -> y"), {"xs": (1, 2), "y": {3}}
    ),
    "chain of thought": lambda: dspy.ChainOfThought(QA),
    "chain of thought class": lambda: dspy.ChainOfThought(Constrained),
    "chain of thought improved": lambda: improved(dspy.ChainOfThought(QA)),
    "chain of thought typed": lambda: with_demos(
        dspy.ChainOfThought(Typed.delete("user")), typed_demo()
    ),
    "chain of thought rationale": lambda: dspy.ChainOfThought(
        QA, rationale_field=dspy.OutputField(desc="why")
    ),
    "react function": lambda: dspy.ReAct(QA, tools=[weather]),
    "react improved": lambda: improved(dspy.ReAct(QA, tools=[weather])),
    "react tool": lambda: dspy.ReAct(
        QA, tools=[dspy.Tool(weather, name="w", desc="d")]
    ),
    "react lambda": lambda: dspy.ReAct(QA, tools=[dspy.Tool(lambda x: x, name="same")]),
    "react in program": Agent,
    "react in program improved": lambda: improved(Agent()),
    "program of thought": lambda: dspy.ProgramOfThought(QA),
    "code act": lambda: dspy.CodeAct(QA, tools=[weather]),
    "best of n": lambda: dspy.BestOfN(dspy.ChainOfThought(QA), 3, reward, 0.5),
    "best of n improved": lambda: dspy.BestOfN(improved(Plain()), 3, reward, 0.5),
    "best of n frozen": lambda: dspy.BestOfN(bootstrapped(), 3, reward, 0.5),
    "refine": lambda: dspy.Refine(dspy.Predict(QA), 3, reward, 0.5),
    "refine improved": lambda: dspy.Refine(improved(Plain()), 3, reward, 0.5),
    "multi chain": lambda: dspy.MultiChainComparison(QA),
    "multi chain improved": lambda: improved(dspy.MultiChainComparison(QA, M=2)),
    "knn compiled": knn_compiled,
    "labeled": labeled,
    "bootstrapped": bootstrapped,
    "parallel": parallel,
    "plain": Plain,
    "plain improved": lambda: improved(Plain(top_k=5)),
    "nested": Nested,
    "nested improved": lambda: improved(Nested()),
    "frozen": frozen,
    "frozen all": bootstrapped,
    "local class": local_program,
    "holding": lambda: improved(Holding()),
    "values": Everything,
    "holding unpicklable": unpicklable,
    "with lm": with_lm,
    "empty demos": lambda: with_demos(Plain()),
    "many demos": lambda: with_demos(Plain(), *[demo(i=i) for i in range(200)]),
}
