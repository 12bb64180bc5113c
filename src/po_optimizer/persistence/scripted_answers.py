"""Answers of a script that stands in for an LM: whatever a signature asks for."""

import zlib
from typing import Any

import dspy
from pydantic import TypeAdapter

from po_optimizer.persistence.codec.values import FAILURES

_MAX_DEPTH = 4


def answer(seed: str) -> str:
    """What the predictor that is being called can read, the same for the same seed.

    Its adapter writes it as it writes a demo. An agent is told to finish, so that
    none calls a tool.
    """
    caller = (dspy.settings.caller_modules or [None])[-1]
    adapter = dspy.settings.adapter
    if adapter is None or isinstance(adapter, dspy.TwoStepAdapter):
        adapter = dspy.ChatAdapter()  # the second step's own
    if not isinstance(caller, dspy.Predict):
        return f"scripted {seed[:12]}"
    values = {
        name: _output(field.annotation, f"scripted {name} {seed[:12]}")
        for name, field in caller.signature.output_fields.items()
    }
    try:
        signature = caller.signature
        written: str = adapter.format_assistant_message_content(signature, values)
    except FAILURES:  # an adapter of the program's own
        return f"scripted {seed[:12]}"
    return written


def _output(annotation: Any, text: str) -> Any:
    try:
        return _json_value(TypeAdapter(annotation), text)
    except FAILURES:  # then what comes of an unreadable answer is compared
        return text


def _json_value(adapter: TypeAdapter[Any], text: str) -> Any:
    schema = adapter.json_schema()
    return text if schema == {} else _Maker(schema, text).value(schema)


def value_of(annotation: Any, text: str) -> Any:
    """A value of the type; `text` stands in its texts and chooses between options."""
    if annotation in (str, Any, "str"):
        return text
    if annotation is dspy.History:
        return dspy.History(messages=[])
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    return adapter.validate_python(_json_value(adapter, text))


class _Maker:
    """Makes what a JSON schema allows."""

    def __init__(self, root: dict[str, Any], text: str) -> None:
        self._root = root  # in which references are looked up
        self._text = text
        self._choice = zlib.crc32(text.encode("utf-8", "surrogatepass"))

    def value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        """A value that this part allows; lists below a few levels are empty."""
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            return self.value(self._root["$defs"][name], depth + 1)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if schema.get("enum"):
            options = schema["enum"]
            last = "finish" if "finish" in options else None
            return last or options[self._choice % len(options)]
        for key in ("anyOf", "oneOf", "allOf"):
            if schema.get(key):
                return self._one_of(schema[key], depth)
        make = getattr(self, f"_{schema.get('type')}", self._string)
        return make(schema, depth)

    def _one_of(self, schemas: list[dict[str, Any]], depth: int) -> Any:
        options = [s for s in schemas if s.get("type") != "null"]
        if depth > _MAX_DEPTH and len(options) < len(schemas):
            return None
        shallow = [s for s in options if "$ref" not in s] if depth else options
        return self.value((shallow or options)[0], depth + 1)

    def _object(self, schema: dict[str, Any], depth: int) -> Any:
        properties = schema.get("properties", {})
        required = [name for name in properties if name in schema.get("required", ())]
        return {name: self.value(properties[name], depth + 1) for name in required}

    def _array(self, schema: dict[str, Any], depth: int) -> Any:
        if "prefixItems" in schema:
            return [self.value(part, depth + 1) for part in schema["prefixItems"]]
        n = max(schema.get("minItems", 0), 0 if depth > _MAX_DEPTH else 1)
        return [self.value(schema.get("items", {}), depth + 1)] * n

    def _number(self, schema: dict[str, Any], _depth: int) -> float:
        low = schema.get("minimum", schema.get("exclusiveMinimum", self._choice % 7))
        step = schema.get("multipleOf", 1)
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 2 * step))
        if "exclusiveMinimum" in schema:
            low = min(low + step, (low + high) / 2)
        return min(low, high)  # type: ignore[no-any-return]

    _integer = _number

    def _boolean(self, _schema: dict[str, Any], _depth: int) -> bool:
        return bool(self._choice % 2)

    def _null(self, _schema: dict[str, Any], _depth: int) -> None:
        return None

    def _string(self, schema: dict[str, Any], _depth: int) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self._text.ljust(schema.get("minLength", 0), "x")
        return text[: schema.get("maxLength", len(text))]


_FORMATS = {
    **{"date": "2020-02-03", "date-time": "2020-02-03T04:05:06Z", "time": "04:05:06Z"},
    **{"uuid": "00000000-0000-4000-8000-000000000000", "uri": "https://example.org/x"},
    **{"email": "a@example.org", "ipv4": "127.0.0.1", "ipv6": "::1", "duration": "P1D"},
    **{"uuid4": "00000000-0000-4000-8000-000000000000", "ipvanyaddress": "127.0.0.1"},
}
