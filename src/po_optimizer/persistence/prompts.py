"""The prompts a program renders, as hashes: what a stored program is compared by."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dspy
import orjson
from dspy.adapters import utils
from pydantic import BaseModel, TypeAdapter

from po_optimizer.persistence.codec.modules import predictors
from po_optimizer.persistence.codec.values import FAILURES
from po_optimizer.persistence.format import sha256

_PLAIN = (str, int, float, bool, list, dict, tuple, set, type(None))
_SERIALIZERS: dict[type, TypeAdapter[Any]] = {k: TypeAdapter(k) for k in _PLAIN}


class _Chat(dspy.ChatAdapter):
    """Both adapters write the same of a demo's inputs: it is written once."""

    def __init__(self, demos: list[Any], written: dict[Any, str]) -> None:
        super().__init__()
        self._demos = frozenset(map(id, demos))
        self._written = written

    def format_user_message_content(
        self,
        signature: Any,
        inputs: Any,
        prefix: str = "",
        suffix: str = "",
        main_request: bool = False,
    ) -> str:
        """What the user says."""
        key = id(inputs), prefix, suffix
        if main_request or id(inputs) not in self._demos or key not in self._written:
            content: str = super().format_user_message_content(
                signature, inputs, prefix, suffix, main_request
            )
            if main_request:
                return content
            self._written[key] = content
        return self._written[key]

    def format_demos(self, signature: Any, demos: Any) -> Any:
        """The demos as messages."""
        return super().format_demos(_Fields(signature), demos)


class _Fields:
    """A signature whose fields are collected once, not for each demo."""

    def __init__(self, signature: Any) -> None:
        self._signature = signature
        for name in ("fields", "input_fields", "output_fields"):
            setattr(self, name, getattr(signature, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._signature, name)


class _JSON(_Chat, dspy.JSONAdapter):
    """The other one, which differs in the rest of the prompt."""


def prompt_hashes(program: Any) -> dict[str, str]:
    """A hash of each predictor's rendered messages, by the predictor's path.

    ChatAdapter and JSONAdapter, with the demos and a probe for every input.
    """
    with _serializers_kept():
        return {where: sha256(render(p)) for where, p in predictors(program).items()}


@contextmanager
def _serializers_kept() -> Iterator[None]:
    """DSPy makes a serializer for each value of each demo: most of rendering's time.

    A thread that asks for one meanwhile gets the same, so nothing has to wait.
    """
    utils.TypeAdapter = _serializer
    try:
        yield
    finally:
        utils.TypeAdapter = TypeAdapter


def _serializer(kind: Any, **options: Any) -> TypeAdapter[Any]:
    kept = None if options or type(kind) is not type else _SERIALIZERS.get(kind)
    return kept or TypeAdapter(kind, **options)


def render(predictor: dspy.Predict) -> bytes:
    """The messages that both adapters send for the probe inputs, as JSON."""
    demos = [_ordered(getattr(demo, "_store", demo)) for demo in predictor.demos]
    messages = {}
    written: dict[Any, str] = {}
    for name, kind in (("ChatAdapter", _Chat), ("JSONAdapter", _JSON)):
        try:
            signature = predictor.signature
            probes = _probes(signature)
            messages[name] = kind(demos, written).format(signature, demos, probes)
        except FAILURES as error:  # the program itself cannot render: it may not later
            messages[name] = type(error).__name__
    try:
        return orjson.dumps(messages, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, which JSON can only hold escaped
        return json.dumps(messages, default=str).encode()


def _probes(signature: Any) -> dict[str, Any]:
    return {
        name: dspy.History(messages=[])
        if field.annotation is dspy.History
        else f"<{name}>"
        for name, field in signature.input_fields.items()
    }


def _ordered(value: Any) -> Any:
    """The value with its sets in one order: hashing gives each process another."""
    if type(value) is str:
        return value
    if isinstance(value, set | frozenset):
        return sorted(map(_ordered, value), key=repr)
    if type(value) in (list, tuple):
        return type(value)(map(_ordered, value))
    if type(value) is dict:
        return {key: _ordered(item) for key, item in value.items()}
    if type(value) is dspy.Example:
        return dspy.Example(_ordered(value._store))
    return _ordered_model(value) if isinstance(value, BaseModel) else value


def _ordered_model(value: BaseModel) -> BaseModel:
    fields = vars(value)
    changed = {
        k: v
        for k, v in _ordered(fields).items()
        if v is not fields[k] and v != fields[k]
    }
    return value.model_copy(update=changed) if changed else value
