"""Programs by the code that they hold: tools, rewards, closures."""

# A docstring would become part of the prompts:
# ruff: noqa: D101, D102, D103

import functools
from collections.abc import Callable
from typing import Any

import dspy

from . import Case

QA = "question -> answer"


def steps(name: str, **args: Any) -> dict[str, Any]:
    """An agent's answers: one call of the tool, then the end."""
    return {
        "next_thought": "hm",
        "next_tool_name": (name, "finish"),
        "next_tool_args": (args, {}),
    }


def weather(city: str, days: int = 1) -> str:
    """The weather of a city."""
    return f"{city} {days}"


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return f"traced {function(*args, **kwargs)}"

    return wrapper


@traced
def population(city: str) -> str:
    """How many live there."""
    return f"{len(city)} people"


def twice(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(city: str) -> str:
        """Ask again."""
        return function(city) + function(city)

    return wrapper


class Degrees(dspy.Module):
    """A closure over a variable is the tool."""

    def __init__(self, unit: str = "C") -> None:
        super().__init__()

        def convert(number: int) -> str:
            """Write a temperature."""
            return f"{number} {unit}"

        self.agent = dspy.ReAct(QA, tools=[convert], max_iters=3)

    def forward(self, question: str) -> Any:
        return self.agent(question=question)


class Methods(dspy.Module):
    """Its own methods are the tools."""

    def __init__(self, prefix: str = "-") -> None:
        super().__init__()
        self.prefix = prefix
        self.agent = dspy.ReAct(QA, tools=[self.find, self.count], max_iters=3)

    def find(self, word: str) -> str:
        """Find a word."""
        return f"{self.prefix} {word}"

    @staticmethod
    def count(word: str) -> int:
        """Count letters."""
        return len(word)

    def forward(self, question: str) -> Any:
        return self.agent(question=question)


class Lambdas(dspy.Module):
    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.scale = lambda number: number * factor
        self.steps = {"up": str.upper, "mark": lambda text: text + "?"}
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        for step in self.steps.values():
            question = step(question)
        return self.answer(question=f"{question} {self.scale(3)}")


class Partial(dspy.Module):
    def __init__(self, days: int = 2) -> None:
        super().__init__()
        self.ask_weather = functools.partial(weather, days=days)
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=self.ask_weather(question))


class Finder:
    """A callable object as a tool."""

    name = "finder"

    def __init__(self, top: int) -> None:
        self.top = top

    def __call__(self, city: str) -> str:
        """Find a city."""
        return city[: self.top]


class Rewarded(dspy.Module):
    def __init__(self, wanted: int = 4) -> None:
        super().__init__()

        def reward(_args: Any, pred: Any) -> float:
            return float(len(pred.answer) % wanted == 0)

        self.best = dspy.BestOfN(dspy.ChainOfThought(QA), 3, reward, 1.0)

    def forward(self, question: str) -> Any:
        return self.best(question=question)


def reward(_args: Any, pred: Any) -> float:
    """Likes an even letter."""
    return float(int(pred.answer[-1], 16) % 2 == 0)


def exchanged() -> Any:
    """An agent whose tool was exchanged after it was made."""
    program = Degrees("F")
    program.agent.tools["convert"].func = lambda number: f"about {number}"
    return program


class FakeInterpreter:
    """Runs nothing: says what it was asked to run."""

    def __init__(self) -> None:
        self.tools: dict[str, Any] = {}

    def execute(self, code: str, variables: Any = None) -> str:
        return f"ran {code.strip()}"

    __call__ = execute

    def start(self) -> None:
        """Nothing to start."""

    def shutdown(self) -> None:
        """Nothing to end."""


class Passed(dspy.Module):
    """Hands functions to its predictors at the call."""

    def __init__(self, tools: Any) -> None:
        super().__init__()
        self.tools = {tool.name: tool for tool in tools}
        self.answer = dspy.Predict(Calling)

    def forward(self, question: str) -> Any:
        return self.answer(question=question, tools=list(self.tools.values()))


class Calling(dspy.Signature):
    """Choose tools."""

    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    outputs: dspy.ToolCalls = dspy.OutputField()


CALLS = {"outputs": {"tool_calls": [{"name": "weather", "args": {"city": "Rome"}}]}}
CODE = {"generated_code": "```python\nx = 1\n```", "finished": True}


class Wrapped(dspy.Module):
    """A predictor's call is wrapped on the instance."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict(QA)
        plain = self.answer.forward
        self.answer.forward = lambda **kwargs: plain(question=kwargs["question"] + "!")

    def forward(self, question: str) -> Any:
        return self.answer(question=question)


def patched() -> Any:
    """What DSPy's trace collector leaves on an instance."""
    program = dspy.ChainOfThought(QA)
    original = program.forward

    def patched_forward(**kwargs: Any) -> Any:
        return original(**kwargs)

    program.forward = patched_forward
    return program


CASES = {
    "closure over a unit": Case(
        lambda: Degrees("F"), answers=steps("convert", number=20), needs="donor"
    ),
    "closure, donor of another unit": Case(
        lambda: Degrees("F"),
        answers=steps("convert", number=20),
        needs="more",
        donor=Degrees,
    ),
    "closure that is not called": Case(
        lambda: Degrees("F"), answers=steps("finish"), needs="donor"
    ),
    "methods of its own": Case(
        lambda: Methods(">"), answers=steps("find", word="cat"), needs="donor"
    ),
    "static method": Case(
        lambda: Methods(">"), answers=steps("count", word="cat"), needs="donor"
    ),
    "lambdas as attributes": Case(lambda: Lambdas(5), needs="donor"),
    "partial": Case(lambda: Partial(4), needs="donor"),
    "react, function": Case(
        lambda: dspy.ReAct(QA, tools=[weather]),
        answers=steps("weather", city="Rome"),
        needs="donor",
    ),
    "react, decorated function": Case(
        lambda: dspy.ReAct(QA, tools=[population]),
        answers=steps("population", city="Rome"),
        needs="donor",
    ),
    "react, decorator's closure": Case(
        lambda: dspy.ReAct(QA, tools=[dspy.Tool(twice(weather), name="again")]),
        answers=steps("again", city="Rome"),
        needs="donor",
    ),
    "react, two closures of one name": Case(
        lambda: dspy.ReAct(
            QA,
            tools=[
                dspy.Tool(lambda city: f"one {city}", name="a"),
                dspy.Tool(lambda city: f"two {city}", name="b"),
            ],
        ),
        answers=steps("b", city="Rome"),
        needs="donor",
    ),
    "react, callable object": Case(
        lambda: dspy.ReAct(QA, tools=[dspy.Tool(Finder(2), name="finder")]),
        answers=steps("finder", city="Rome"),
        needs="donor",
    ),
    "react, tool with its own words": Case(
        lambda: dspy.ReAct(
            QA, tools=[dspy.Tool(weather, name="w", desc="d", arg_desc={"city": "c"})]
        ),
        answers=steps("w", city="Rome", days=3),
        needs="donor",
    ),
    "react, tool exchanged": Case(
        exchanged, answers=steps("convert", number=20), needs="donor"
    ),
    "react, donor without the exchange": Case(
        exchanged,
        answers=steps("convert", number=20),
        needs="more",
        donor=lambda: Degrees("F"),
    ),
    "code act": Case(
        lambda: dspy.CodeAct(
            QA, tools=[weather], max_iters=2, interpreter_factory=FakeInterpreter
        ),
        answers=CODE,
        needs="donor",
    ),
    "program of thought": Case(
        lambda: dspy.ProgramOfThought(QA, interpreter_factory=FakeInterpreter),
        answers=CODE,
        needs="donor",
    ),
    "program of thought, default": Case(
        lambda: dspy.ProgramOfThought(QA),
        answers={"generated_code": "no code"},
        needs="more",
    ),
    "best of n, closure": Case(lambda: Rewarded(3), needs="donor"),
    "best of n, function": Case(
        lambda: dspy.BestOfN(dspy.Predict(QA), 3, reward, 1.0), needs="donor"
    ),
    "best of n, lambda": Case(
        lambda: dspy.BestOfN(dspy.Predict(QA), 3, lambda a, p: len(a), 2.0),
        needs="donor",
    ),
    "refine, function": Case(
        lambda: dspy.Refine(dspy.ChainOfThought(QA), 2, reward, 2.0),
        answers={"advice": {"predict": "shorter"}},
        needs="donor",
    ),
    "tools as an input": Case(
        lambda: Passed([dspy.Tool(weather), dspy.Tool(population)]),
        answers=CALLS,
        needs="donor",
    ),
    "list[dspy.Tool] field": Case(
        lambda: dspy.Predict(Calling),
        asks=[{"question": "q", "tools": [dspy.Tool(weather)]}],
        answers=CALLS,
        needs="data",
    ),
    "wrapped forward on an instance": Case(Wrapped, needs="donor"),
    "patched forward on an instance": Case(patched, needs="donor"),
}
