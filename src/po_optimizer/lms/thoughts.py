"""What a reasoning model thought aloud, which no program may read."""

import re
from collections.abc import Iterator

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
