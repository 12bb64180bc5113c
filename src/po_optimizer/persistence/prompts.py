"""The prompts a program renders, as hashes: what a stored program is compared by."""

import json
import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import GenericAlias
from typing import Any

import dspy
import orjson
from dspy.adapters import utils

from po_optimizer.errors import NotStoredError
from po_optimizer.patching import PLAIN, ProcessWide, plain_type_adapters, replaced
from po_optimizer.persistence.codec.modules import predictors
from po_optimizer.persistence.codec.order import in_order
from po_optimizer.persistence.codec.values import FAILURES
from po_optimizer.persistence.format import sha256

_schema_of = utils._get_json_schema
_ADAPTERS = {"ChatAdapter": dspy.ChatAdapter, "JSONAdapter": dspy.JSONAdapter}
_FAILURES = (*FAILURES, NotStoredError)  # of a rescued program, what was lost
_ITSELF = frozenset((str, int, bool, type(None)))


class _Fields:
    """A signature whose fields are collected once, not each time they are asked for."""

    def __init__(self, signature: Any) -> None:
        self._signature = signature
        for name in ("fields", "input_fields", "output_fields"):
            setattr(self, name, getattr(signature, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._signature, name)


def prompt_hashes(program: Any, *, whole: bool = False) -> dict[str, str]:
    """A hash of each predictor's prompt, by the predictor's path.

    Hashed are the messages of ChatAdapter and JSONAdapter, with a probe for every
    input. A demo of nothing but texts, numbers and lists of them is written into every
    prompt in the same way: of these only the first is rendered, of all the values
    are hashed.

    Args:
        program: Any program.
        whole: Render every demo, as up to format version 2.
    """
    with _schemas_kept():
        return {
            where: sha256(render(predictor, whole=whole))
            for where, predictor in predictors(program).items()
        }


@contextmanager
def _kept_schemas() -> Iterator[None]:
    """Each schema is made once; DSPy makes it for each field and adapter."""
    schemas: dict[int, tuple[Any, Any]] = {}

    def schema_of(annotation: Any) -> Any:
        if _is_builtin(annotation):
            return _builtin_schema(annotation)
        if id(annotation) not in schemas:
            schemas[id(annotation)] = annotation, _schema_of(annotation)
        return schemas[id(annotation)][1]

    with plain_type_adapters(), replaced(utils, "_get_json_schema", schema_of):
        yield


_schemas_kept = ProcessWide(_kept_schemas)


def _is_builtin(annotation: Any) -> bool:
    """Whether it is built of Python's own classes, so that equal ones are the same."""
    if type(annotation) is GenericAlias:
        return annotation.__origin__ in PLAIN and all(
            map(_is_builtin, annotation.__args__)
        )
    return annotation in PLAIN if type(annotation) is type else False


_builtin_schema = lru_cache(maxsize=1000)(_schema_of)  # which takes half a millisecond


def render(predictor: dspy.Predict, *, whole: bool = False) -> bytes:
    """The messages of both adapters for the probe inputs, and the demos, as JSON."""
    try:
        return _dump(_prompt(predictor, whole=whole))
    except _FAILURES as error:  # a demo that contains itself
        return type(error).__name__.encode()


def _prompt(predictor: dspy.Predict, *, whole: bool) -> dict[str, Any]:
    try:
        signature: Any = _Fields(predictor.signature)
    except FAILURES:  # it is none: each adapter will say so
        signature, whole = getattr(predictor, "signature", None), True
    demos = [getattr(demo, "_store", demo) for demo in predictor.demos]
    values = [None if whole else _values(demo, signature.fields) for demo in demos]
    rendered = [
        in_order(demo)
        for number, (demo, plain) in enumerate(zip(demos, values, strict=True))
        if plain is None or not number
    ]
    prompt = {
        name: _messages(adapter(), signature, rendered)
        for name, adapter in _ADAPTERS.items()
    }
    return prompt if whole else {**prompt, "demos": values}


def _dump(prompt: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(prompt, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, which JSON can only hold escaped
        return json.dumps(prompt, default=str).encode()


def _messages(adapter: dspy.Adapter, signature: Any, demos: list[Any]) -> Any:
    try:
        with warnings.catch_warnings():  # of a set that is a list, to have an order
            warnings.filterwarnings("ignore", "Pydantic serializer", UserWarning)
            return adapter.format(signature, demos, _probes(signature))
    except _FAILURES as error:  # the program itself cannot render: it may not later
        return type(error).__name__


def _values(demo: Any, names: Iterable[str]) -> dict[str, Any] | None:
    """What the prompt takes of a demo, if it is written as it stands; else None."""
    if not isinstance(demo, dict):
        return None
    values = {name: demo[name] for name in names if name in demo}
    return values if _is_plain(values) else None


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is dict and all(type(key) is str for key in value):
        value = list(value.values())
    if type(value) is list:
        return _ITSELF.issuperset(map(type, value)) or all(map(_is_plain, value))
    return kind in _ITSELF or (kind is float and math.isfinite(value))


def _probes(signature: Any) -> dict[str, Any]:
    return {
        name: dspy.History(messages=[])
        if field.annotation is dspy.History
        else f"<{name}>"
        for name, field in signature.input_fields.items()
    }
