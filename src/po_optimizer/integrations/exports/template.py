"""A predictor's messages as literal text with slots for its inputs."""

import json
import re
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import dspy
from dspy.adapters.utils import format_field_value

from po_optimizer.errors import ArtifactError
from po_optimizer.params.base import Frozen

AdapterName = Literal["chat", "json", "xml"]
Message = dict[str, str]
"""`role` and `content`, as every chat API takes them."""
Texts = Mapping[str, str]
Render = Callable[[Texts], list[Message]]


class Slot(Frozen):
    """Where the text of an input goes."""

    input: str


class TemplateMessage(Frozen):
    """One message: its role, and literal texts and slots in order."""

    role: str
    content: list[str | Slot]

    def filled(
        self, slot: Callable[[str], str], literal: Callable[[str], str] = str
    ) -> Message:
        """The message with its slots and its literal texts as these write them."""
        parts = (
            slot(part.input) if isinstance(part, Slot) else literal(part)
            for part in self.content
        )
        return {"role": self.role, "content": "".join(parts)}


class Template(Frozen):
    """The messages of one predictor, demos included.

    Attributes:
        inputs: What has a slot.
        config: What the predictor asks of every call, a temperature for one.
    """

    inputs: list[str]
    config: dict[str, Any]
    messages: list[TemplateMessage]


class _Asked(BaseException):
    """Ends a call once its messages are there; no adapter tries again."""


class _RecordingLM(dspy.BaseLM):
    """Takes the messages that DSPy sends, and answers nothing."""

    def __init__(self) -> None:
        super().__init__(model="recording", cache=False)
        self.messages: list[dict[str, Any]] = []

    def __call__(self, prompt: Any = None, *, messages: Any = None, **_: Any) -> Any:
        self.messages = list(messages)
        raise _Asked


_ADAPTERS: dict[AdapterName, type[dspy.Adapter]] = {
    "chat": dspy.ChatAdapter,
    "json": dspy.JSONAdapter,
    "xml": dspy.XMLAdapter,
}


def sent_by_dspy(
    predictor: dspy.Predict, adapter: AdapterName, inputs: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The messages that an LM receives when the predictor is called."""
    # its own class may hold code that no document has; the prompt needs none of it
    bare = dspy.Predict(predictor.signature)
    bare.demos = predictor.demos
    lm = _RecordingLM()
    as_here = _ADAPTERS[adapter](use_native_function_calling=False)
    settings = {"lm": lm, "adapter": as_here, "callbacks": []}
    with dspy.context(**settings, disable_history=True, warn_on_type_mismatch=False):
        try:
            bare(**inputs)
        except _Asked:
            return lm.messages
    raise AssertionError("DSPy answered without asking the LM")


def text_of(field: Any, value: Any) -> str:
    """What DSPy writes for an input's value: a text as it is, a list as JSON."""
    return str(format_field_value(field, value))


def make_template(name: str, predictor: dspy.Predict, adapter: AdapterName) -> Template:
    """The template of a predictor under an adapter.

    Raises:
        ArtifactError: Its messages hold more than text.
    """
    fields = predictor.signature.input_fields
    for field, info in fields.items():
        if kind := next(_dspy_types(info.annotation), None):
            raise _no_text(name, f"the input {field} is a dspy.{kind.__name__}")
    marks = {f"<{uuid.uuid4().hex}>": field for field in fields}
    sent = sent_by_dspy(predictor, adapter, {f: mark for mark, f in marks.items()})
    if not all(isinstance(message["content"], str) for message in sent):
        raise _no_text(name, "a demo holds an image, a file or the like")
    pattern = "|".join(marks) or r"(?!)"  # of a predictor without inputs: nothing
    messages = [
        TemplateMessage(
            role=message["role"],
            content=[
                Slot(input=marks[part]) if part in marks else part
                for part in re.split(f"({pattern})", message["content"])
                if part
            ],
        )
        for message in sent
    ]
    config = {k: v for k, v in predictor.config.items() if is_setting(k, v)}
    return Template(inputs=list(fields), config=config, messages=messages)


def is_setting(name: str, value: Any) -> bool:
    """Whether a predictor's setting is sent as it is: data, and not DSPy's own."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return name != "rollout_id"


def _no_text(name: str, why: str) -> ArtifactError:
    return ArtifactError(
        f"predictor={name!r} cannot be exported: {why}, which no text template holds. "
        "Use it with DSPy: load_program."
    )


def _dspy_types(annotation: Any) -> Iterator[type]:
    """DSPy's own types in an annotation: images, histories, tools."""
    special = (dspy.Type, dspy.History)
    if isinstance(annotation, type) and issubclass(annotation, special):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _dspy_types(part)
