"""Answers as a program may read them: no thinking aloud, a withheld one is empty.

Half characters are replaced here too: not every answer comes through a client of ours.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dspy.lm15 import (
    InvalidRequestError,
    Message,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    Usage,
)

from po_optimizer.lms.answer_repair import repair_answer

_TAG = re.compile(r"<(/?)(think|thinking|thought|reasoning)>", re.IGNORECASE)
_WITHHELD = re.compile(
    r"content[ _-]?(filter|policy|management)|responsible ?ai|safety|prohibited_content"
    r"|blocklist|violat\w+ .*polic",
    re.IGNORECASE,
)


class CleanAnswers:
    """An engine whose answers hold nothing but the answer.

    What a server says of a filter as an HTTP error is the same empty answer as what
    another says with `finish_reason`: one cause, one status.

    Args:
        engine: The engine that answers.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def complete(self, request: Request) -> Response:
        """The answer without thoughts, or an empty one that a filter withheld."""
        try:
            answer: Response = self._engine.complete(request)
        except InvalidRequestError as error:
            if not _is_withheld(error):
                raise
            return _empty(request)
        parts = tuple(_clean(answer.message.parts))
        if parts == answer.message.parts:
            return answer
        message = replace(answer.message, parts=parts or (TextPart(text=""),))
        return replace(answer, message=message)


def _empty(request: Request) -> Response:
    return Response(
        id=None,
        model=request.model,
        message=Message(role="assistant", parts=(TextPart(text=""),)),
        finish_reason="content_filter",
        usage=Usage(),
    )


def _is_withheld(error: InvalidRequestError) -> bool:
    """By the server's code, LiteLLM's class or, where there is neither, its words."""
    causes = (type(error.__cause__).__name__, error.provider_code or "", str(error))
    return any(_WITHHELD.search(_spaced(cause)) for cause in causes)


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _clean(parts: tuple[Any, ...]) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, TextPart):
            yield replace(part, text=without_thoughts(repair_answer(part.text)))
        elif not isinstance(part, ThinkingPart):
            yield part


def without_thoughts(text: str) -> str:
    """The text without what a reasoning model thought aloud before or in its answer.

    A thought is what stands between <think> tags (<thinking>, <thought>, <reasoning>)
    that begin a line or enclose several lines; from a tag that nobody closes to the
    end, if it begins the text or is alone on its line; and all before a closing tag
    that begins a line and was never opened. Other tags are mentions and stay, as do
    those in a code block.
    """
    if not _TAG.search(text):
        return text
    kept, place = "", 0
    for begin, end in _thoughts(text):
        kept += text[place:begin]
        place = end
    return (kept + text[place:]).strip() if place else text


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
