"""The Python file of Inspect tasks that reads exported messages."""

import re
from collections.abc import Iterable

_INSPECT_TASK = '''\
"""Inspect tasks of an exported program: `inspect eval tasks.py@NAME --model ...`.

A line of inputs.jsonl holds the texts of one sample's inputs. Add a scorer of yours.
"""

import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
)
from inspect_ai.solver import generate

HERE = Path(__file__).parent
KINDS = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


def message(part, inputs):
    """One message with the inputs in their places."""
    parts = part["content"]
    text = "".join(p if isinstance(p, str) else inputs[p["input"]] for p in parts)
    return KINDS[part["role"]](content=text)


def make_task(predictor, inputs):
    """The predictor's prompt for every line of the inputs."""
    template = json.loads((HERE / f"{predictor}.json").read_text("utf-8"))
    path = HERE / inputs
    lines = [json.loads(line) for line in path.read_text("utf-8").split("\\n") if line]
    return Task(
        dataset=[
            Sample(
                input=[message(part, line) for part in template["messages"]],
                metadata=line,
            )
            for line in lines
        ],
        solver=generate(),
        config=GenerateConfig(**template["config"]),
    )
'''

_INSPECT_ENTRY = '''

@task
def {function}(inputs: str = {inputs!r}):
    """The predictor {name}."""
    return make_task({name!r}, inputs)
'''


def inspect_files(names: Iterable[str]) -> dict[str, str]:
    """The Inspect tasks that read the parts of predictors."""
    entries = [
        _INSPECT_ENTRY.format(
            function=re.sub(r"\W", "_", name), name=name, inputs=f"{name}.inputs.jsonl"
        )
        for name in names
    ]
    return {"tasks.py": _INSPECT_TASK + "".join(entries)}
