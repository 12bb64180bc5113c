"""Programs by the names that their predictors, fields and attributes have."""

# A docstring would become part of the prompts:
# ruff: noqa: D102, D103

from typing import Any

import dspy

from . import Case

SECRET_NAMES = (
    *("endpoint", "token", "headers", "secret", "credentials", "password"),
    *("api_key", "authorization", "base_url", "model_list", "private_key"),
)


class Named(dspy.Module):
    """Predictors under names that elsewhere are a key's."""

    def __init__(self) -> None:
        super().__init__()
        for name in SECRET_NAMES:
            setattr(self, name, dspy.Predict(f"question -> {name}_found"))

    def forward(self, question: str) -> Any:
        answers = [getattr(self, name)(question=question) for name in SECRET_NAMES]
        return dspy.Prediction(answers=[dict(answer) for answer in answers])


class Nested(dspy.Module):
    """A program under such a name, and a list of them."""

    def __init__(self) -> None:
        super().__init__()
        self.credentials = Named()
        self.token = [dspy.Predict("question -> answer"), dspy.ChainOfThought("q -> a")]

    def forward(self, question: str) -> Any:
        found = self.credentials(question=question)
        return self.token[0](question=str(found.answers))


class Table(dspy.Module):
    """Ordinary values under such names: a table's headers, a marker, a count."""

    def __init__(self, headers: list[str], sep: str = "<sep>") -> None:
        super().__init__()
        self.headers = headers
        self.token = sep
        self.max_token = 9
        self.secret = None
        self.answer = dspy.Predict("table, question -> answer")

    def forward(self, question: str) -> Any:
        return self.answer(table=self.token.join(self.headers), question=question)


class Lenient(Table):
    """Does without when the value is not there."""

    def forward(self, question: str) -> Any:
        headers = [h for h in (self.headers or []) if h] or ["no table"]
        return self.answer(table=" ".join(headers), question=question)


class Mapping(dspy.Module):
    """Such names as keys of an ordinary mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.labels = {"token": "a word", "secret": "hidden", "password": 3}
        self.answer = dspy.Predict("labels, question -> answer")

    def forward(self, question: str) -> Any:
        return self.answer(labels=self.labels, question=question)


class Keyed(dspy.Module):
    """A true key, used at the call."""

    def __init__(self, api_key: str) -> None:
        super().__init__()
        self.api_key = api_key
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        return self.answer(question=f"{question} {len(self.api_key)}")


class Odd(dspy.Module):
    """Predictors in a mapping with odd keys."""

    def __init__(self) -> None:
        super().__init__()
        keys = ("a b", "$", "", "é", "a.b", "a[0]", "'quoted'", "class")
        self.by_name = {
            key: dspy.Predict(f"question -> f{i}") for i, key in enumerate(keys)
        }
        self.by_number = {
            1: dspy.Predict("question -> one"),
            (2, 3): dspy.Predict("q -> a"),
        }

    def forward(self, question: str) -> Any:
        answers = [dict(p(question=question)) for p in self.by_name.values()]
        return dspy.Prediction(
            answers=answers, one=self.by_number[1](question=question).one
        )


def fields_named_so() -> Any:
    return dspy.Predict("api_key, token, headers -> password, secret")


def demos_named_so() -> Any:
    program = dspy.Predict("token -> password")
    program.demos = [dspy.Example(token="t", password="p", api_key="not a key")]
    return program


class Words(dspy.Module):
    """Attributes that DSPy or the format might have themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.signature = "not a signature"
        self.stage = "draft"
        self.name = "n"
        self.items = [1]
        self.types = {"a": 1}
        self.path = "p"
        self.answer = dspy.Predict("context, question -> answer")

    def forward(self, question: str) -> Any:
        kept = [
            self.signature,
            self.stage,
            self.name,
            self.items,
            self.types,
            self.path,
        ]
        return self.answer(context=str(kept), question=question)


FIELDS = {"api_key": "a", "token": "t", "headers": "h"}
CASES = {
    "predictors named like secrets": Case(Named),
    "programs named like secrets": Case(Nested),
    "table headers and a marker": Case(lambda: Table(["a", "b"]), needs="donor"),
    "lenient table": Case(lambda: Lenient(["a", "b"]), needs="donor"),
    "labels of tokens": Case(Mapping, needs="donor"),
    "a true key": Case(lambda: Keyed("sk-canary"), needs="donor"),
    "odd keys": Case(Odd),
    "fields named like secrets": Case(fields_named_so, asks=[FIELDS], needs="data"),
    "demos named like secrets": Case(
        demos_named_so, asks=[{"token": "x"}], needs="data"
    ),
    "words of the format": Case(Words),
}
