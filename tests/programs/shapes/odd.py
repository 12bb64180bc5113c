"""What people also write: class attributes, closures, embeddings, tools as outputs."""

import collections
import functools
import json
import random
from pathlib import Path
from typing import Optional

import dspy
import numpy as np

Answer = collections.namedtuple("Answer", "city sure")
EXAMPLES = Path(__file__).with_name("odd_docs.json")


class Summary(dspy.Signature):
    """Say where the message comes from."""

    message: str = dspy.InputField()
    style: str = dspy.InputField(default="short")
    hint: Optional[str] = dspy.InputField(default=None)
    city: str = dspy.OutputField(desc="a town")
    sure: Optional[float] = dspy.OutputField(default=None)


class ClassAttribute(dspy.Module):
    """The predictor is made with the class."""

    find = dspy.ChainOfThought("message -> city")

    def forward(self, message):
        return self.find(message=message)


class Defaults(dspy.Module):
    """A signature with defaults, predictors by kind in a dict of dicts."""

    def __init__(self, verbose=False, **options):
        super().__init__()
        self.options = {"verbose": verbose, **options}
        self.find = dspy.Predict(Summary)

    def forward(self, message, **kwargs):
        return self.find(message=message, **kwargs)


class Partial(dspy.Module):
    """Holds a lambda and a partial, as post-processing."""

    def __init__(self):
        super().__init__()
        self.clean = lambda text: text.strip()
        self.cut = functools.partial(str.split, maxsplit=1)
        self.find = dspy.ChainOfThought("message -> city")

    def forward(self, message):
        city = self.cut(self.clean(self.find(message=message).city))
        return dspy.Prediction(city=" ".join(city))


def _embed(texts):
    """An embedding model of one's own: letters counted."""
    return np.array(
        [[text.lower().count(c) for c in "abcdefgh"] for text in texts], float
    )


@functools.lru_cache(maxsize=1)
def _retriever():
    corpus = [f"{name} lies on a river" for name in ("Bern", "Graz", "Ulm", "Riga")]
    embedder = dspy.Embedder(_embed)
    return dspy.retrievers.Embeddings(embedder=embedder, corpus=corpus, k=2)


class Embedded(dspy.Module):
    """DSPy's own retriever over an embedding function, of the module's, not its own."""

    def __init__(self):
        super().__init__()
        self.find = dspy.ChainOfThought("context: list[str], message -> city")

    def forward(self, message):
        return self.find(context=_retriever()(message).passages, message=message)


class FewShot(dspy.Module):
    """Brings demos of its own along, loaded from a file."""

    def __init__(self):
        super().__init__()
        self.find = dspy.Predict(Summary)
        self.find.demos = [
            dspy.Example(**demo).with_inputs("message")
            for demo in json.loads(EXAMPLES.read_text())
        ]

    def forward(self, message):
        return self.find(message=message)


class ReturnsTuple(dspy.Module):
    def __init__(self):
        super().__init__()
        self.find = dspy.Predict("message -> city, urgent: bool")

    def forward(self, message):
        found = self.find(message=message)
        return Answer(found.city, np.float32(found.urgent))


class ReturnsArray(dspy.Module):
    def __init__(self):
        super().__init__()
        self.find = dspy.Predict("message -> count: int, amount: float")

    def forward(self, message):
        found = self.find(message=message)
        return np.array([found.count, found.amount])


class Shuffles(dspy.Module):
    """Draws by a generator of its own, seeded by the message."""

    def __init__(self, seed=3):
        super().__init__()
        self.seed = seed
        self.rank = dspy.Predict("message, options: list[str] -> city")

    def forward(self, message):
        options = ["Bern", "Graz", "Lyon"]
        random.Random(f"{self.seed}{message}").shuffle(options)
        return self.rank(message=message, options=options)


class Called(dspy.Module):
    """Batches inside, and asks at another temperature for the second opinion."""

    def __init__(self):
        super().__init__()
        self.find = dspy.ChainOfThought("message -> city")

    def forward(self, message):
        first = self.find.batch(
            [dspy.Example(message=message).with_inputs("message")],
            num_threads=1,
            disable_progress_bar=True,
        )[0]
        second = self.find(
            message=message, config={"temperature": 0.8, "rollout_id": 1}
        )
        return first if first.city == second.city else second


class ToolOutput(dspy.Module):
    """The LM names the tool, the program calls it."""

    def __init__(self):
        super().__init__()
        self.tools = {"shout": str.upper, "whisper": str.lower}
        self.choose = dspy.Predict("message, tools: list[str] -> tool, city")

    def forward(self, message):
        chosen = self.choose(message=message, tools=list(self.tools))
        tool = self.tools.get(chosen.tool, str.title)
        return dspy.Prediction(city=tool(chosen.city).title(), tool=chosen.tool)


def tuple_right(example, prediction, trace=None):
    return np.bool_(prediction.city == example.town)


def array_close(example, prediction, trace=None):
    return np.exp(-abs(prediction - np.array([example.pieces, example.price])).sum())


def by_semantic_f1():
    """DSPy's own LLM judge, as an object."""
    return dspy.evaluate.SemanticF1(decompositional=False)


semantic = by_semantic_f1()


def semantic_f1(example, prediction, trace=None):
    gold = dspy.Example(question=example.message, response=example.town)
    return semantic(gold, dspy.Prediction(response=prediction.city), trace)
