"""Programs by how their classes are written."""

# A docstring would become part of the prompts:
# ruff: noqa: D101, D102, D103

import abc
import types
from typing import Any, Generic, TypeVar

import dspy
from dspy.adapters.baml_adapter import BAMLAdapter

from . import Case

QA = "question -> answer"
T = TypeVar("T")


class Main(dspy.Module):
    def __init__(self, mark: str = "?") -> None:
        super().__init__()
        self.mark = mark
        self.answer = dspy.Predict(QA)
        self.check = dspy.Predict("answer -> verdict")

    def forward(self, question: str) -> Any:
        answer = self.answer(question=question + self.mark).answer
        return self.check(answer=answer)


def in_main() -> Any:
    """A class as a script or notebook defines it."""
    kind = type("InMain", (Main,), {"__module__": "__main__"})
    return kind("!")


def in_function() -> Any:
    class Local(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = dspy.Predict(QA)
            self.two = dspy.Predict("answer -> verdict")

        def forward(self, question: str) -> Any:
            return self.two(answer=self.one(question=question).answer)

    return Local()


def single_in_function() -> Any:
    """One predictor, and a forward that does more."""

    class Local(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = dspy.Predict(QA)

        def forward(self, question: str) -> Any:
            return dspy.Prediction(answer=self.one(question=question[::-1]).answer[:3])

    return Local()


class Adapted(dspy.Module):
    """Keeps an adapter and uses it."""

    def __init__(self, adapter: Any) -> None:
        super().__init__()
        self.adapter = adapter
        self.answer = dspy.Predict("question -> answer, score: int")

    def forward(self, question: str) -> Any:
        with dspy.context(adapter=self.adapter):
            return self.answer(question=question)


class Unadapted(Adapted):
    """Uses its adapter if it has one."""

    def forward(self, question: str) -> Any:
        with dspy.context(adapter=self.adapter or dspy.ChatAdapter()):
            return self.answer(question=question)


class Async(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)

    async def aforward(self, question: str) -> Any:
        return await self.answer.acall(question=question + "~")


class Marking:
    """A mixin that is no module."""

    mark = "m"

    def marked(self, text: str) -> str:
        return f"{self.mark} {text}"


class Mixed(Marking, dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mark = "n"
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=self.marked(question))


class Abstract(dspy.Module, Generic[T]):
    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)

    @abc.abstractmethod
    def prepare(self, text: str) -> str: ...

    def forward(self, question: str) -> Any:
        return self.answer(question=self.prepare(question))


class Concrete(Abstract[str]):
    def prepare(self, text: str) -> str:
        return text * 2


class NoInit(dspy.Module):
    """Forgets its base's constructor."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=f"{question} {self.k}")


class Called(dspy.Module):
    """Has its own `__call__`, positional, and gives a string."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)

    def __call__(self, question: str) -> str:
        return self.answer(question=question).answer + "."


class Lazy(dspy.Module):
    """Makes its predictor at the first call."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = None
        self.n = 2

    def forward(self, question: str) -> Any:
        if self.answer is None:
            self.answer = dspy.Predict(QA, temperature=0.9)
        return self.answer(question=f"{question} {self.n}")


class Constructing(dspy.Module):
    """Makes predictors at every call, from what it keeps."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self.style = style
        self.base = dspy.Signature(QA, "Base.")
        self.main = dspy.Predict(self.base)

    def forward(self, question: str) -> Any:
        other = dspy.Predict(self.base.with_instructions(f"Be {self.style}."))
        return other(question=self.main(question=question).answer)


def bound() -> Any:
    """A forward that was put on the instance."""
    program = Main("?")

    def forward(self: Any, question: str) -> Any:
        return self.answer(question=question + " bound")

    program.forward = types.MethodType(forward, program)
    return program


class Outer:
    """A class that holds another."""

    class Inside(dspy.Module):
        """The class within."""

        def __init__(self, mark: str = "?") -> None:
            super().__init__()
            self.mark = mark
            self.answer = dspy.Predict(QA)

        def forward(self, question: str) -> Any:
            return self.answer(question=question + self.mark)


class Rebound(dspy.Module):
    """Its module has another class of this name by now."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=question + " first")


FIRST = Rebound


class Rebound(dspy.Module):  # type: ignore[no-redef]
    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=question + " second")


class Reduced(dspy.Module):
    """Says itself how it is pickled and copied."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.size = size
        self.cache = {"a": 1}
        self.answer = dspy.Predict(QA)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k != "cache"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, cache={})

    def forward(self, question: str) -> Any:
        return self.answer(question=f"{question} {self.size} {len(self.cache)}")


def retyped() -> Any:
    """Fields exchanged after the signature was made."""
    program = dspy.Predict("question, hint -> answer, score: int")
    signature = program.signature.delete("hint").prepend(
        "context", dspy.InputField(desc="first", default="none given"), list[str]
    )
    program.signature = signature.with_updated_fields("answer", desc="short")
    return program


SCORE = {"score": 5}
CASES = {
    "in __main__": Case(in_main, needs="donor"),
    "in a function": Case(in_function, needs="donor"),
    "in a function, one predictor": Case(single_in_function, needs="donor at once"),
    "json adapter": Case(lambda: Adapted(dspy.JSONAdapter()), answers=SCORE),
    "baml adapter": Case(lambda: Adapted(BAMLAdapter()), answers=SCORE),
    "xml adapter": Case(lambda: Adapted(dspy.XMLAdapter()), answers=SCORE),
    "chat adapter with settings": Case(
        lambda: Adapted(dspy.ChatAdapter(use_json_adapter_fallback=False)),
        answers=SCORE,
    ),
    "optional adapter": Case(lambda: Unadapted(dspy.JSONAdapter()), answers=SCORE),
    "async": Case(Async),
    "mixin": Case(Mixed),
    "abstract and generic": Case(Concrete),
    "without its base's constructor": Case(lambda: NoInit(4)),
    "its own __call__": Case(Called),
    "predictor made at the call": Case(Lazy),
    "predictor made of a signature": Case(lambda: Constructing("brief")),
    "forward bound to the instance": Case(bound, needs="donor"),
    "class within a class": Case(lambda: Outer.Inside("!")),
    "class that another replaced": Case(FIRST, needs="donor at once"),
    "its own state": Case(lambda: Reduced(3)),
    "signature changed": Case(
        retyped, asks=[{"question": "q"}], answers=SCORE, needs="data"
    ),
}
