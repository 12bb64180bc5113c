"""The prompts a program renders, as hashes: what a stored program is compared by."""

import json
from typing import Any

import dspy
import orjson
from pydantic import BaseModel

from po_optimizer.persistence.codec.modules import predictors
from po_optimizer.persistence.codec.values import FAILURES
from po_optimizer.persistence.format import sha256


def prompt_hashes(program: Any) -> dict[str, str]:
    """A hash of each predictor's rendered messages, by the predictor's path.

    ChatAdapter and JSONAdapter, with the demos and a probe for every input.
    """
    return {where: sha256(render(p)) for where, p in predictors(program).items()}


def render(predictor: dspy.Predict) -> bytes:
    """The messages that both adapters send for the probe inputs, as JSON."""
    demos = [_ordered(demo) for demo in predictor.demos]
    messages = {}
    for adapter in (dspy.ChatAdapter(), dspy.JSONAdapter()):
        name = type(adapter).__name__
        try:
            signature = predictor.signature
            messages[name] = adapter.format(signature, demos, _probes(signature))
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
