"""What each target's files look like, and how the target turns them into messages."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jinja2

from po_optimizer.integrations.exports.template import (
    Message,
    Render,
    Slot,
    Template,
    Texts,
)

Files = dict[str, str]
"""File name -> content."""


class Target(Protocol):
    """Writes a predictor's template in the form that another tool reads."""

    def files(self, template: Template) -> Files:
        """The file that holds the messages."""
        ...

    def renderer(self, files: Files) -> Render:
        """How the tool makes messages of the files and the inputs' texts."""
        ...


class PartsTarget:
    """JSON whose contents are lists: a text stands for itself, a mapping for an input.

    No text can be taken for a slot, and any language reads it.
    """

    def files(self, template: Template) -> Files:
        """One JSON file."""
        return {f"{template.name}.json": _json(self._content(template))}

    def _content(self, template: Template) -> dict[str, Any]:
        return {
            "inputs": list(template.inputs),
            "config": dict(template.config),
            "messages": [
                {
                    "role": message.role,
                    "content": [
                        {"input": part.name} if isinstance(part, Slot) else part
                        for part in message.parts
                    ],
                }
                for message in template.messages
            ],
        }

    def renderer(self, files: Files) -> Render:
        """Joins the parts."""
        messages = _read(files)["messages"]
        return lambda texts: [
            {
                "role": message["role"],
                "content": "".join(
                    part if isinstance(part, str) else texts[part["input"]]
                    for part in message["content"]
                ),
            }
            for message in messages
        ]


class JinjaTarget:
    """JSON messages whose contents are Jinja (or Nunjucks) templates.

    Args:
        slot: How an input's place is written.
        prefix: Stands before the first message and renders nothing.
    """

    def __init__(self, slot: str = "{{ %s }}", prefix: str = "") -> None:
        self._slot = slot
        self._prefix = prefix

    def files(self, template: Template) -> Files:
        """One JSON file."""
        messages = _filled(template, self._slot, _in_jinja)
        messages[0]["content"] = self._prefix + messages[0]["content"]
        for message in messages:  # Jinja takes a last newline away
            message["content"] = re.sub(r"\n\Z", r"{{ '\\n' }}", message["content"])
        return {f"{template.name}.json": _json(messages)}

    def renderer(self, files: Files) -> Render:
        """As Jinja does, with its own defaults."""
        compiled = [(m["role"], jinja2.Template(m["content"])) for m in _read(files)]
        return lambda texts: [
            {"role": role, "content": content.render({**texts, "inputs": texts})}
            for role, content in compiled
        ]


class LangfuseTarget:
    """A chat prompt as Langfuse's API takes it.

    Its variables are `{{name}}`, and no text can be escaped: what the comparison with
    DSPy finds different is not exported.
    """

    def files(self, template: Template) -> Files:
        """One JSON file, the body of `POST /api/public/v2/prompts`."""
        content = {
            "type": "chat",
            "name": template.name,
            "prompt": _filled(template, "{{%s}}", str),
            "config": dict(template.config),
        }
        return {f"{template.name}.json": _json(content)}

    def renderer(self, files: Files) -> Render:
        """As Langfuse does: a variable is what stands from braces to braces."""
        messages = _read(files)["prompt"]
        return lambda texts: [
            {
                "role": message["role"],
                "content": re.sub(
                    r"\{\{(.*?)\}\}",
                    lambda match: texts.get(match[1].strip(), match[0]),
                    message["content"],
                    flags=re.DOTALL,
                ),
            }
            for message in messages
        ]


def _read(files: Files) -> Any:
    """The content of the only file."""
    (content,) = files.values()
    return json.loads(content)


def _filled(
    template: Template, slot: str, literal: Callable[[str], str]
) -> list[Message]:
    """The messages with a mark at each slot."""
    return [
        {
            "role": message.role,
            "content": "".join(
                slot % part.name if isinstance(part, Slot) else literal(part)
                for part in message.parts
            ),
        }
        for message in template.messages
    ]


_SPECIAL = re.compile(r"\{[{%#]+|\{(?=\r|\n?\Z)|\r\n?|#\}")


def _in_jinja(text: str) -> str:
    """A literal text as a template that renders it; Jinja knows one kind of line end.

    A brace at the end would open a tag with the slot that follows.
    """
    return _SPECIAL.sub(
        lambda match: f"{{{{ {json.dumps(match[0])} }}}}".replace('"', "'"), text
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


TARGETS: dict[str, Target] = {
    "messages": PartsTarget(),
    "inspect": PartsTarget(),
    "jinja": JinjaTarget(),
    # promptfoo looks for variables and files in texts, not below a name
    "promptfoo": JinjaTarget(slot="{{ inputs.%s }}"),
    "langfuse": LangfuseTarget(),
    # else MLflow replaces inputs in inputs
    "mlflow-prompt": JinjaTarget(prefix="{% raw %}{% endraw %}"),
}


def promptfoo_files(rows: Mapping[str, Sequence[Texts]]) -> Files:
    """A promptfoo configuration for each predictor; its tests are the rows."""
    files: Files = {}
    for name, texts in rows.items():
        config = {
            "description": f"{name}, exported from DSPy",
            "prompts": [f"file://{name}.json"],
            "providers": ["openai:chat:{{ env.PROMPTFOO_MODEL }}"],
            "tests": [{"vars": {"inputs": row}} for row in texts],
        }
        files[f"{name}.promptfooconfig.json"] = _json(config)
    return files
