"""Mends answers: whole characters, plausible token counts, no thoughts read aloud.

Models that are cut inside an emoji, and servers that escape byte by byte, send half
characters, which no file or server takes: they become U+FFFD. Counts that cannot be
are left out, which means "not reported": a paid answer is not lost for its envelope.
What a reasoning model thinks before it answers is no part of the answer.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
# in JSON text inside an answer; a backslash before it would make it plain letters
_ESCAPED = re.compile(
    r"(?<!\\)((?:\\\\)*)(?:"
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # a whole pair
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_MOST_TOKENS = 10**9  # of one call; a sum of them stays an integer of SQLite
_ENVELOPES = ("usage", "usageMetadata")
_OLLAMA = ("prompt_eval_count", "eval_count")


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


def parse_answer(body: bytes) -> tuple[bytes, Any]:
    """The body repaired, and the JSON in it; None: it is none.

    The bytes stay the same if nothing is odd.
    """
    try:
        answer = json.loads(body)
        # without these bytes no text of it has half a character
        repaired = _repair(answer, texts=b"\\u" in body or b"\xed" in body)
    except (ValueError, RecursionError):
        return body, None
    return body if repaired == answer else json.dumps(repaired).encode(), repaired


def defect(answer: Any, address: str) -> str:
    """Why the JSON that was sent is no answer of a model's; "": it is one.

    Such an answer is the server's failure and may be asked for again; without a message
    DSPy would take it for an empty text of the model's.

    Args:
        answer: The JSON; None: there is none.
        address: Of the request; OpenAI's protocol is recognized by it.
    """
    if not isinstance(answer, dict):
        return f"the answer is {'not JSON' if answer is None else 'no JSON object'}"
    path = address.partition("?")[0]
    if answer.get("error") or not path.endswith("/chat/completions"):
        return ""  # DSPy and LiteLLM report an error by its own words
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return "the answer holds no message"
    if error := choice.get("error") or choice.get("finish_reason") == "error":
        return f"the server broke the answer off ({error})"
    return ""


def _repair(answer: Any, *, texts: bool) -> Any:
    if not isinstance(answer, dict):
        return answer
    repaired = repair_answer(answer) if texts else dict(answer)
    if isinstance(repaired.get("choices"), list):
        repaired["choices"] = [_join_texts(choice) for choice in repaired["choices"]]
    if repaired.get("type") == "message":  # Anthropic's, which LiteLLM wants it of
        repaired.setdefault("usage", {})
    for name in _ENVELOPES:
        if name in repaired:
            usage = repaired[name]
            repaired[name] = _counts(usage) if isinstance(usage, dict) else {}
    for name in _OLLAMA:
        if not is_count(repaired.get(name, 0)):
            del repaired[name]
    return repaired


def _join_texts(choice: Any) -> Any:
    """The choice with one text for a message in parts, which LiteLLM does not read."""
    match choice:
        case {"message": {"content": [*parts]} as message}:
            texts = [p["text"] for p in parts if isinstance(p, dict) and "text" in p]
            if len(texts) == len(parts) and all(isinstance(t, str) for t in texts):
                return {**choice, "message": {**message, "content": "".join(texts)}}
    return choice


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _counts(value) if isinstance(value, dict) else value
        for name, value in usage.items()
        if _may_be(name, value)
    }


def _may_be(name: str, value: object) -> bool:
    if name.endswith("_details"):
        return isinstance(value, dict)
    return is_count(value) or not name.lower().endswith(("tokens", "tokencount"))


def is_count(value: object) -> bool:
    """Whether it can be the tokens of one call."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 0 <= value <= _MOST_TOKENS  # type: ignore[operator]


def count(tokens: int | None) -> int | None:
    """The tokens, if they can be those of one call; None: not reported."""
    return tokens if is_count(tokens) else None


_TAG = re.compile(r"<(/?)(think|thinking|thought|reasoning)>", re.IGNORECASE)


def without_thoughts(text: str) -> str:
    """The text without what a reasoning model thought aloud before or in its answer.

    A thought is what stands between <think> tags (<thinking>, <thought>, <reasoning>)
    that begin a line or enclose several lines; from a tag that is never closed to the
    end, if it begins the text or is alone on its line; and all before a closing tag
    that begins a line and was never opened. Other tags are mentions and stay, as do
    those in a code block.
    """
    if not _TAG.search(text):
        return text
    answer, place = "", 0
    for begin, end in _thoughts(text):
        answer += text[place:begin]
        place = end
    return (answer + text[place:]).strip() if place else text


def _thoughts(text: str) -> Iterator[tuple[int, int]]:
    """Where each thought begins and ends, in order."""
    place = 0
    while tag := _TAG.search(text, place):
        begin, place = tag.start(), tag.end()
        before = text[:begin]
        if before.count("```") % 2:
            continue
        starts_line = not before.rpartition("\n")[2].strip()
        if tag.group(1):
            if starts_line or not before.strip():
                yield 0, place
            continue
        end = _closed(text, tag)
        if end is None:
            alone = starts_line and not text[place:].partition("\n")[0].strip()
            if alone or not before.strip():
                yield begin, len(text)
                return
        elif starts_line or "\n" in text[begin:end] or _follows(text, begin):
            yield begin, end
            place = end


def _follows(text: str, begin: int) -> bool:
    """Whether a closing tag stands right before."""
    return text[:begin].rstrip().endswith(">") and bool(
        re.search(r"</\w+>\s*$", text[:begin])
    )


def _closed(text: str, opened: re.Match[str]) -> int | None:
    """Where the tag is closed, inner ones of its name included; None: nowhere."""
    depth, name = 1, opened.group(2).lower()
    for tag in _TAG.finditer(text, opened.end()):
        if tag.group(2).lower() == name:
            depth += -1 if tag.group(1) else 1
            if not depth:
                return tag.end()
    return None
