"""Answers that any adapter of DSPy can parse, made from the request itself."""

import html
import json
import re
from typing import Any

_FIELDS = re.compile(r"output fields are:\n(.*?)\n(?:All interactions|\n)", re.DOTALL)
_FIELD = re.compile(r"^\d+\. `(\w+)` \((.*?)\)(?::|$)", re.MULTILINE)
_MAX_DEPTH = 4


def answer(prompt: Any, messages: Any, kwargs: dict[str, Any], seed: str) -> str:
    """The answer to a request, the same for the same seed; never a call of a tool."""
    texts = [_text(m.get("content")) for m in messages or []] or [str(prompt)]
    system, last = texts[0], texts[-1]
    match = _FIELDS.search(system)
    fields = dict(_FIELD.findall(match[1])) if match else {}
    if not fields:
        return f"scripted {seed[:12]}"
    values = {
        name: _value(name, kind, _note(system, name), f"{name} {seed}")
        for name, kind in fields.items()
    }
    if "[[ ## completed ## ]]" in last:
        parts = [f"[[ ## {name} ## ]]\n{_plain(v)}" for name, v in values.items()]
        return "\n\n".join([*parts, "[[ ## completed ## ]]"])
    if "JSON" in last or kwargs.get("response_format"):
        return json.dumps(values)
    return "\n".join(f"<{k}>\n{_plain(v)}\n</{k}>" for k, v in values.items())


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _note(system: str, name: str) -> str:
    """What the prompt says of a field's values, JSON's escapes undone."""
    match = re.search(rf"\{{{name}\}}\s+# note: the value you produce (.*)", system)
    if not match:
        return ""
    note = match[1]
    return note.replace('\\"', '"').replace("\\\\", "\\") if '\\"' in note else note


def _value(name: str, kind: str, note: str, seed: str) -> Any:
    number = int.from_bytes(seed.encode()[-6:], "big")
    options = re.search(r"one of: (.*)", note)
    if options:
        choices = [html.unescape(c).strip(' ",') for c in options[1].split("; ")]
        return "finish" if "finish" in choices else choices[number % len(choices)]
    if "must be True or False" in note:
        return bool(number % 2)
    if "must be a single" in note:
        return number % 7 if " int " in note else number % 7 / 2
    schema = re.search(r"JSON schema: (\{.*)", note)
    if schema:
        parsed, _ = json.JSONDecoder().raw_decode(schema[1])
        return value_of_schema(parsed, f"scripted {seed[:20]}")
    return f"scripted {seed[:20]}" if kind else name


def value_of_schema(
    schema: dict[str, Any],
    text: str,
    root: dict[str, Any] | None = None,
    depth: int = 0,
) -> Any:
    """A value that a JSON schema allows.

    Args:
        schema: The schema, or a part of it.
        text: What stands in texts.
        root: The whole schema, in which references are looked up.
        depth: How deep the part lies; lists below a few levels are empty.
    """
    root = root or schema
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return value_of_schema(root["$defs"][name], text, root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][len(text) % len(schema["enum"])]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            options = [s for s in schema[key] if s.get("type") != "null"]
            shallow = [s for s in options if "$ref" not in s] if depth else options
            if depth > _MAX_DEPTH and len(options) < len(schema[key]):
                return None
            return value_of_schema((shallow or options)[0], text, root, depth + 1)
    return _value_of_type(schema, text, root, depth)


def _value_of_type(
    schema: dict[str, Any], text: str, root: dict[str, Any], depth: int
) -> Any:
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", ())
        return {
            name: value_of_schema(part, text, root, depth + 1)
            for name, part in schema.get("properties", {}).items()
            if name in required
        }
    if kind == "array":
        if "prefixItems" in schema:
            return [
                value_of_schema(part, text, root, depth + 1)
                for part in schema["prefixItems"]
            ]
        n = max(schema.get("minItems", 0), 0 if depth > _MAX_DEPTH else 1)
        return [value_of_schema(schema.get("items", {}), text, root, depth + 1)] * n
    if kind in ("integer", "number"):
        return _number(schema)
    if kind == "boolean":
        return True
    return None if kind == "null" else _string(schema, text)


def _number(schema: dict[str, Any]) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    step = schema.get("multipleOf", 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 2 * step))
    if "exclusiveMinimum" in schema:
        low = min(low + step, (low + high) / 2)
    return min(low, high)  # type: ignore[no-any-return]


_FORMATS = {
    **{"date": "2020-02-03", "date-time": "2020-02-03T04:05:06Z", "time": "04:05:06Z"},
    **{"uuid": "00000000-0000-4000-8000-000000000000", "uri": "https://example.org/x"},
    **{"email": "a@example.org", "ipv4": "127.0.0.1", "ipv6": "::1", "duration": "P1D"},
    **{"uuid4": "00000000-0000-4000-8000-000000000000", "ipvanyaddress": "127.0.0.1"},
}


def _string(schema: dict[str, Any], text: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = text.ljust(schema.get("minLength", 0), "x")
    return text[: schema.get("maxLength", len(text))]
