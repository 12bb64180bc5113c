"""What each target's file looks like, and how the target turns it into messages."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jinja2

from po_optimizer.integrations.exports.template import Message, Render, Template


class Target(NamedTuple):
    """How another tool reads a predictor's prompt.

    Args:
        write: The JSON of a template, by the predictor's name.
        read: How the tool makes messages of that JSON and the inputs' texts.
        has_settings: What is written holds what the predictor asks of every call.
    """

    write: Callable[[str, Template], Any]
    read: Callable[[Any], Render]
    has_settings: bool


def _parts(_name: str, template: Template) -> Any:
    """Contents are lists: a text stands for itself, a mapping for an input.

    No text can be taken for a slot, and any language reads it.
    """
    return template.model_dump()


def _joined(content: Any) -> Render:
    messages = Template.model_validate(content).messages
    return lambda texts: [
        message.filled(lambda name: texts[name]) for message in messages
    ]


_SPECIAL = re.compile(r"\{[{%#]+|\{(?=\r|\n?\Z)|\r\n?|#\}")


def _jinja(below: str = "", prefix: str = "") -> Target:
    """Messages whose contents are Jinja (or Nunjucks) templates.

    Args:
        below: The name that inputs stand below; "": they stand at the top.
        prefix: Stands before the first message and renders nothing.
    """
    slot = f"{{{{ {below}.%s }}}}" if below else "{{ %s }}"

    def write(_name: str, template: Template) -> list[Message]:
        messages = [
            m.filled(lambda name: slot % name, _in_jinja) for m in template.messages
        ]
        messages[0]["content"] = prefix + messages[0]["content"]
        for message in messages:  # Jinja takes a last newline away
            message["content"] = re.sub(r"\n\Z", r"{{ '\\n' }}", message["content"])
        return messages

    def read(content: list[Message]) -> Render:
        """As Jinja does, with its own defaults."""
        compiled = [(m["role"], jinja2.Template(m["content"])) for m in content]
        return lambda texts: [
            {"role": role, "content": text.render({below: texts} if below else texts)}
            for role, text in compiled
        ]

    return Target(write, read, has_settings=bool(below))


def _in_jinja(text: str) -> str:
    """A literal text as a template that renders it; Jinja knows one kind of line end.

    A brace at the end would open a tag with the slot that follows.
    """
    return _SPECIAL.sub(
        lambda match: f"{{{{ {json.dumps(match[0])} }}}}".replace('"', "'"), text
    )


def _langfuse(name: str, template: Template) -> Any:
    """A chat prompt as Langfuse's API takes it: `POST /api/public/v2/prompts`.

    Its variables are `{{name}}`, and no text can be escaped: what the comparison with
    DSPy finds different is not exported.
    """
    prompt = [m.filled(lambda field: "{{" + field + "}}") for m in template.messages]
    return {"type": "chat", "name": name, "prompt": prompt, "config": template.config}


def _as_langfuse(content: Any) -> Render:
    """A variable is what stands from braces to braces."""
    variable = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
    return lambda texts: [
        {
            "role": message["role"],
            "content": variable.sub(
                lambda match: texts.get(match[1].strip(), match[0]), message["content"]
            ),
        }
        for message in content["prompt"]
    ]


TARGETS = {
    "messages": Target(_parts, _joined, has_settings=True),
    "inspect": Target(_parts, _joined, has_settings=True),
    "jinja": _jinja(),
    # promptfoo looks for variables and files in texts, not below a name
    "promptfoo": _jinja(below="inputs"),
    "langfuse": Target(_langfuse, _as_langfuse, has_settings=True),
    # else MLflow replaces inputs in inputs
    "mlflow-prompt": _jinja(prefix="{% raw %}{% endraw %}"),
}
