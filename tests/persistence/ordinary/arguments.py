"""Programs by what becomes of their constructor's arguments."""

# A docstring would become part of the prompts:
# ruff: noqa: D101, D102, D103

import json
import pathlib
from typing import Any

import dspy

from . import Case

QA = "context, question -> answer"


class Kept(dspy.Module):
    def __init__(self, num_passages: int = 3) -> None:
        super().__init__()
        self.num_passages = num_passages
        self.answer = dspy.ChainOfThought(QA)

    def forward(self, question: str) -> Any:
        context = [f"p{i}" for i in range(self.num_passages)]
        return self.answer(context=context, question=question)


class Renamed(dspy.Module):
    def __init__(self, num_passages: int = 3) -> None:
        super().__init__()
        self._k = num_passages
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(context=str(self._k), question=question)


class Dropped(dspy.Module):
    """Keeps what it made of its argument, not the argument."""

    def __init__(self, language: str = "English") -> None:
        super().__init__()
        signature = dspy.Signature(QA, f"Answer in {language}.")
        self.answer = dspy.Predict(signature)
        self.banner = f"[{language.upper()}]"

    def forward(self, question: str) -> Any:
        return self.answer(context=self.banner, question=question)


class Retrieving(dspy.Module):
    def __init__(self, num_passages: int = 3) -> None:
        super().__init__()
        self.retrieve = dspy.Retrieve(k=num_passages)
        self.answer = dspy.ChainOfThought(QA)

    def forward(self, question: str) -> Any:
        return self.answer(context=self.retrieve(question).passages, question=question)


class RetrievingWithCode(dspy.Module):
    """A retriever, and beside it code that only a constructor can give."""

    def __init__(self, num_passages: int = 3, top: int = 5) -> None:
        super().__init__()
        self.retrieve = dspy.Retrieve(k=num_passages)
        self.rank = lambda passages: sorted(passages, reverse=True)[:top]
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        context = self.rank(self.retrieve(question).passages)
        return self.answer(context=context, question=question)


class Keywords(dspy.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.answer = dspy.Predict(QA, **options)

    def forward(self, question: str) -> Any:
        return self.answer(context=str(sorted(self.options)), question=question)


class Positional(dspy.Module):
    def __init__(self, *names: str, sep: str = ", ") -> None:
        super().__init__()
        self.sep = sep
        self.steps = [dspy.Predict(f"question -> {name}") for name in names]

    def forward(self, question: str) -> Any:
        parts = [next(iter(s(question=question).values())) for s in self.steps]
        return dspy.Prediction(answer=self.sep.join(parts))


class Around(dspy.Module):
    """Takes other programs as arguments."""

    def __init__(self, inner: Any, others: Any) -> None:
        super().__init__()
        self.inner = inner
        self.others = list(others)

    def forward(self, question: str) -> Any:
        for program in self.others:
            question += f" {program(question=question).answer}"
        return self.inner(question=question)


class Graph:
    """An object that the constructor makes from a file."""

    def __init__(self, path: str) -> None:
        self.edges = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))

    def near(self, name: str) -> list[str]:
        return self.edges.get(name, ["nothing"])


class Ontology(dspy.Module):
    def __init__(self, ontology_path: str) -> None:
        super().__init__()
        self.graph = Graph(ontology_path)
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(context=self.graph.near(question), question=question)


class Doubling(dspy.Module):
    """Keeps another value under its argument's name, and a closure over the first."""

    def __init__(self, k: int = 1) -> None:
        super().__init__()
        self.k = k * 2
        self.cut = lambda texts: texts[:k]
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        context = self.cut([f"p{i}" for i in range(self.k)])
        return self.answer(context=context, question=question)


class Changed(dspy.Module):
    def __init__(self, top: int = 3) -> None:
        super().__init__()
        self.top = top
        self.clip = lambda texts: texts[:top]
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        context = self.clip([f"p{i}" for i in range(9)])
        return self.answer(context=f"{context} {self.top}", question=question)


def changed() -> Any:
    program = Changed(top=6)
    program.top = 2
    return program


class Required(dspy.Module):
    """Cannot be made without its argument, which is not kept."""

    def __init__(self, style: str, *, shout: bool) -> None:
        super().__init__()
        self.answer = dspy.Predict(dspy.Signature(QA, f"Be {style}."))
        self.finish = str.upper if shout else str.lower

    def forward(self, question: str) -> Any:
        answer = self.answer(context="none", question=question).answer
        return dspy.Prediction(answer=self.finish(answer))


class Template(dspy.Module):
    """A callable as an argument."""

    def __init__(self, prepare: Any = str.strip) -> None:
        super().__init__()
        self.prepare = prepare
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        return self.answer(question=self.prepare(question))


def shout(text: str) -> str:
    return text.upper() + "!"


class Scaled(dspy.Module):
    """Another unit under the argument's name."""

    def __init__(self, temperature: float = 50) -> None:
        super().__init__()
        self.temperature = temperature / 100
        self.note = lambda: f"of {temperature}"
        self.answer = dspy.Predict(QA, temperature=self.temperature)

    def forward(self, question: str) -> Any:
        return self.answer(context=self.note(), question=question)


class SignatureArgument(dspy.Module):
    def __init__(self, signature: Any = "question -> answer") -> None:
        super().__init__()
        self.signature = dspy.ensure_signature(signature)
        self.answer = dspy.ChainOfThought(self.signature)

    def forward(self, **inputs: Any) -> Any:
        wanted = ", ".join(self.signature.output_fields)
        return dspy.Prediction(wanted=wanted, **self.answer(**inputs))


class Parent(dspy.Module):
    def __init__(self, depth: int = 1) -> None:
        super().__init__()
        self.depth = depth
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        return self.answer(question=f"{question} {self.depth}")


class Child(Parent):
    """Passes another value to its base's constructor."""

    def __init__(self, size: int = 2) -> None:
        super().__init__(depth=size + 10)
        self.note = lambda text: f"{text} {size}"

    def forward(self, question: str) -> Any:
        return super().forward(self.note(question))


ASK = {"question": "who?"}
ONTOLOGY = str(pathlib.Path(__file__).parent / "ontology.json")
CASES = {
    "kept": Case(lambda: Kept(6)),
    "renamed": Case(lambda: Renamed(6)),
    "dropped": Case(lambda: Dropped("Spanish")),
    "retrieve, another k": Case(lambda: Retrieving(num_passages=6)),
    "retrieve, another k and code": Case(
        lambda: RetrievingWithCode(num_passages=6, top=4), needs="donor"
    ),
    "keywords": Case(lambda: Keywords(temperature=0.3, n=2, stop=["x"])),
    "positional": Case(lambda: Positional("a", "b", "c", sep=" + ")),
    "programs as arguments": Case(lambda: Around(Kept(2), (Kept(4), Renamed(5)))),
    "object made from a path": Case(
        lambda: Ontology(ONTOLOGY), asks=[{"question": "cat"}], needs="donor"
    ),
    "other value under the name": Case(lambda: Doubling(3), needs="donor"),
    "other unit under the name": Case(lambda: Scaled(70), needs="donor"),
    "changed after construction": Case(changed, needs="donor"),
    "changed, donor not": Case(changed, needs="more", donor=lambda: Changed(top=6)),
    "donor with other arguments": Case(
        lambda: RetrievingWithCode(6, 4), needs="more", donor=RetrievingWithCode
    ),
    "required and not kept": Case(lambda: Required("brief", shout=True), needs="donor"),
    "function as argument": Case(lambda: Template(shout), needs="donor"),
    "lambda as argument": Case(
        lambda: Template(lambda text: text[::-1]), needs="donor"
    ),
    "lambda, donor with the default": Case(
        lambda: Template(lambda text: text[::-1]), needs="more", donor=Template
    ),
    "builtin as default argument": Case(Template, needs="donor"),
    "signature as argument": Case(
        lambda: SignatureArgument("question: str, n: int -> answer: str, score: int"),
        asks=[{"question": "a", "n": 3}],
        answers={"score": 7},
    ),
    "base with another argument": Case(lambda: Child(4), needs="donor"),
}
