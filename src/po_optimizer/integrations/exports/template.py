"""A predictor's messages as literal text with slots for its inputs."""

import re
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import dspy
from dspy.adapters.utils import format_field_value

from po_optimizer.errors import ArtifactError

AdapterName = Literal["chat", "json", "xml"]
Message = dict[str, str]
"""`role` and `content`, as every chat API takes them."""
Texts = Mapping[str, str]
Render = Callable[[Texts], list[Message]]


@dataclass(frozen=True)
class Slot:
    """Where the text of an input goes."""

    name: str


@dataclass(frozen=True)
class TemplateMessage:
    """One message: its role, and literal texts and slots in order."""

    role: str
    parts: tuple[str | Slot, ...]


@dataclass(frozen=True)
class Template:
    """The messages of one predictor, demos included.

    Attributes:
        name: Where the predictor lies in the program, fit for a file's name.
        inputs: What has a slot.
        config: What the predictor asks of every call, a temperature for one.
    """

    name: str
    inputs: tuple[str, ...]
    messages: tuple[TemplateMessage, ...]
    config: Mapping[str, Any]


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


def adapter_of(name: AdapterName) -> dspy.Adapter:
    """DSPy's adapter as this project's LMs use it."""
    kinds = {"chat": dspy.ChatAdapter, "json": dspy.JSONAdapter, "xml": dspy.XMLAdapter}
    return kinds[name](use_native_function_calling=False)


def sent_by_dspy(
    predictor: dspy.Predict, adapter: AdapterName, inputs: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The messages that an LM receives when the predictor is called."""
    # its own class may hold code that no document has; the prompt needs none of it
    bare = dspy.Predict(predictor.signature)
    bare.demos = predictor.demos
    lm = _RecordingLM()
    settings = {"lm": lm, "adapter": adapter_of(adapter), "callbacks": []}
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
    marks = {field: f"<{uuid.uuid4().hex}>" for field in fields}
    messages = sent_by_dspy(predictor, adapter, marks)
    if not all(isinstance(message["content"], str) for message in messages):
        raise _no_text(name, "a demo holds an image, a file or the like")
    slots = {mark: Slot(field) for field, mark in marks.items()}
    return Template(
        name,
        tuple(fields),
        tuple(_split(message, slots) for message in messages),
        dict(predictor.config),
    )


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


def _split(message: dict[str, Any], slots: Mapping[str, Slot]) -> TemplateMessage:
    if not slots:
        return TemplateMessage(message["role"], (message["content"],))
    pattern = "|".join(map(re.escape, slots))
    parts = re.split(f"({pattern})", message["content"])
    return TemplateMessage(
        message["role"], tuple(slots.get(part, part) for part in parts if part)
    )
