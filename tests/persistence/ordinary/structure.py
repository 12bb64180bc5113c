"""Programs by how their predictors and sub-programs hang together."""

# A docstring would become part of the prompts:
# ruff: noqa: D101, D102, D103

from typing import Any

import dspy

from . import Case

QA = "question -> answer"


def qa(**config: Any) -> Any:
    return dspy.Predict(QA, **config)


class Inner(dspy.Module):
    def __init__(self, mark: str = "") -> None:
        super().__init__()
        self.mark = mark
        self.answer = dspy.ChainOfThought(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=question + self.mark)


class Collections(dspy.Module):
    """Asks every predictor that it finds in what it keeps."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, question: str) -> Any:
        answers: list[str] = []
        self._ask(self.kept, question, answers)
        return dspy.Prediction(answers=answers)

    def _ask(self, item: Any, question: str, answers: list[str]) -> None:
        if isinstance(item, dict):
            item = list(item.values())
        if isinstance(item, list | tuple):
            for part in item:
                self._ask(part, question, answers)
        elif isinstance(item, dspy.Module):
            answers.append(item(question=question).answer)
        else:
            answers.append(f"no program: {item!r}")


class Sharing(dspy.Module):
    """Two names for one predictor; changing one changes the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first = qa()
        self.second = self.first
        self.inner = Inner("?")
        self.again = {"inner": self.inner, "answer": self.inner.answer}

    def forward(self, question: str) -> Any:
        self.first.config = {"temperature": 0.9}
        self.inner.mark = "!!"
        same = [self.first is self.second, self.inner is self.again["inner"]]
        answers = [
            m(question=question).answer for m in (self.second, *self.again.values())
        ]
        return dspy.Prediction(answers=answers, same=same)


class Child(dspy.Module):
    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent
        self.answer = qa()

    def forward(self, question: str) -> Any:
        return self.answer(question=f"{question} {self.parent.name}")


class Parent(dspy.Module):
    """Its children know it."""

    def __init__(self, name: str = "p") -> None:
        super().__init__()
        self.name = name
        self.children = [Child(self), Child(self)]

    def forward(self, question: str) -> Any:
        for child in self.children:
            question = child(question=question).answer
        return dspy.Prediction(answer=question)


class Selfish(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.me = self
        self.answer = qa()

    def forward(self, question: str) -> Any:
        return self.me.answer(question=question)


def frozen() -> Any:
    program = Collections([Inner("?"), Inner("!")])
    program.kept[0].answer.predict.demos = [dspy.Example(question="old", answer="demo")]
    program.kept[0]._compiled = True
    return program


class Parallel(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = qa(temperature=0.2)
        self.two = Inner("?")
        self.runner = dspy.Parallel(num_threads=1, disable_progress_bar=True)

    def forward(self, question: str) -> Any:
        pairs = [(p, {"question": question}) for p in (self.one, self.two)]
        return dspy.Prediction(answers=[r.answer for r in self.runner(pairs)])


class Comparing(dspy.Module):
    def __init__(self, number: int = 3) -> None:
        super().__init__()
        self.attempts = [
            dspy.ChainOfThought(QA, temperature=i / 10) for i in range(number)
        ]
        self.compare = dspy.MultiChainComparison(QA, M=number)

    def forward(self, question: str) -> Any:
        attempts = [attempt(question=question) for attempt in self.attempts]
        return self.compare(attempts, question=question)


class Subclassed(dspy.Predict):
    """A Predict of somebody's own, with an attribute and another forward."""

    def __init__(self, signature: Any, suffix: str = "?") -> None:
        super().__init__(signature)
        self.suffix = suffix

    def forward(self, **kwargs: Any) -> Any:
        kwargs["question"] += self.suffix
        return super().forward(**kwargs)


class Thoughtful(dspy.ChainOfThought):
    def __init__(self, signature: Any) -> None:
        super().__init__(signature)
        self.check = qa()

    def forward(self, **kwargs: Any) -> Any:
        first = super().forward(**kwargs)
        return self.check(question=first.answer)


def ensemble() -> Any:
    program = dspy.Ensemble(reduce_fn=dspy.majority).compile([Inner("a"), Inner("a")])
    assert program.programs
    return program


def labeled() -> Any:
    trainset = [
        dspy.Example(question=f"q{i}", answer=f"a{i}").with_inputs("question")
        for i in range(3)
    ]
    return dspy.LabeledFewShot(k=2).compile(Inner("?"), trainset=trainset)


def config() -> Any:
    return {
        "list": [qa(temperature=0.1), qa(temperature=0.9, n=2)],
        "tuple": (qa(max_tokens=5), (qa(stop=["x"]), 7)),
        "dict": {"a": qa(top_p=0.5), "b": {"c": [Inner("?"), None]}},
    }


class Configured(dspy.Module):
    """Config is passed at the call, from an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = qa(temperature=0.5)
        self.options = {"temperature": 0.8, "n": 2}

    def forward(self, question: str) -> Any:
        return self.answer(question=question, config=self.options)


CASES = {
    "chain of thought": Case(lambda: dspy.ChainOfThought(QA), needs="data"),
    "predict with config": Case(lambda: qa(temperature=0.3, n=2), needs="data"),
    "collections with config": Case(lambda: Collections(config())),
    "shared": Case(Sharing),
    "child knows its parent": Case(lambda: Parent("q"), learned=False),
    "knows itself": Case(Selfish, learned=False),
    "frozen": Case(frozen),
    "parallel": Case(Parallel),
    "comparison": Case(lambda: Comparing(2)),
    "comparison alone": Case(
        lambda: dspy.MultiChainComparison(QA, M=2, temperature=0.4),
        asks=[
            {"completions": [{"answer": "1", "rationale": "r"}] * 2, "question": "q"}
        ],
        needs="more",
    ),
    "subclass of Predict": Case(lambda: Subclassed(QA, "!")),
    "subclass of ChainOfThought": Case(lambda: Thoughtful(QA)),
    "ensemble": Case(ensemble, needs="donor"),
    "labeled demos": Case(labeled),
    "config at the call": Case(Configured),
    "one predictor, forward of its own": Case(lambda: Inner(" please")),
}
