"""Half characters: a lone surrogate is no text, and no file or server takes it.

Models that are cut inside an emoji, and servers that escape byte by byte, send them.
"""

import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
# in JSON text inside an answer; a backslash before it would make it plain letters
_ESCAPED = re.compile(
    r"(?<!\\)((?:\\\\)*)(?:"
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # a whole pair
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def repair(text: str) -> str:
    """The text with U+FFFD for each half of a character; two halves become one."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def repair_answer(value: Any) -> Any:
    """What an LM sent, repaired in depth, in JSON text of its own too."""
    if isinstance(value, str):
        escaped = _ESCAPED.sub(lambda m: m[1] + (m[2] or r"\ufffd"), value)
        return repair(escaped)
    if isinstance(value, dict):
        return {repair(key): repair_answer(item) for key, item in value.items()}
    if isinstance(value, list):
        return [repair_answer(item) for item in value]
    return value
