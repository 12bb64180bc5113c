"""A stored program with whatever is awkward in a template, and its export."""

import enum
import json
from pathlib import Path
from typing import Any, Literal

import dspy
import pydantic
from click.testing import CliRunner

from po_optimizer import save_program
from po_optimizer.__main__ import group

ADAPTERS = ("chat", "json", "xml")


class Color(enum.Enum):
    """A color."""

    RED = "red"
    BLUE = "blue"


class Item(pydantic.BaseModel):
    """A thing that was ordered."""

    name: str
    count: int = 1


class Order(dspy.Signature):
    r"""Use {{ braces }}, {x}, {% raw %} and {# notes #} as they stand.

    A tab, "quotes" and a backslash \\n.
    """

    question: str = dspy.InputField()
    context: list[str] = dspy.InputField(desc="passages {")
    item: Item | None = dspy.InputField()
    answer: str = dspy.OutputField()
    kind: Literal["a", "b"] = dspy.OutputField()
    colors: list[Color] = dspy.OutputField(desc="}} of the item")


class Desk(dspy.Module):
    """Two predictors, a list, and code between them."""

    def __init__(self) -> None:
        self.generate = dspy.ChainOfThought(
            "text: str, n: int, sure: bool -> query: list[str]"
        )
        self.steps = [dspy.Predict(Order, temperature=0.5, stop=["##"])]
        self.generate.predict.demos = [
            dspy.Example(text="t", n=3, sure=True, reasoning="as {", query=["a{{x}}"]),
            dspy.Example(text="no query {\r\n", n=1, reasoning="{{ text }}"),
        ]
        self.steps[0].demos = [
            dspy.Example(
                question="two\r\nlines {\r\n",
                context=["{{c}}", "é"],
                item=Item(name="{"),
                answer="x\n",
                kind="a",
                colors=[Color.RED],
            ),
            dspy.Example(question="q", answer="{% endraw %}", augmented=True),
        ]

    def forward(self, text: str) -> dspy.Prediction:
        """Calls one after the other."""
        plan = self.generate(text=text, n=1, sure=False)
        return self.steps[0](question=text, context=plan.query, item=None)


def stored(folder: Path, program: dspy.Module | None = None) -> Path:
    """The program's document."""
    path = folder / "program.json"
    save_program(program or Desk(), path, dill="off", verify="off")
    return path


def exported(path: Path, target: str, adapter: str, *options: str) -> tuple[Path, str]:
    """The folder that the command wrote, and what it printed."""
    folder = path.parent / f"{target}-{adapter}"
    arguments = [str(path), "--to", target, "--adapter", adapter]
    done = CliRunner().invoke(
        group, ["export", *arguments, "--output", str(folder), *options]
    )
    assert done.exit_code == 0, done.output
    return folder, done.output


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """The texts of the inputs that an export wrote."""
    lines = (folder / f"{name}.inputs.jsonl").read_text("utf-8").split("\n")
    return [json.loads(line) for line in lines if line]
