"""HTML that kedro-viz shows as it is meant.

kedro-viz removes scripts and styles from an HTML preview and then reads what is left as
Markdown, line by line: of `requirements_yaml ... product_vision` it makes italics, of
line breaks in the source line breaks on the page.
"""

import re

from kedro_datasets._typing import HTMLPreview

_UNSEEN = re.compile(r"<head>.*?</head>|<(script|style)\b.*?</\1>", re.DOTALL)
_TAG = re.compile(r"(<[^>]*>)")
_MARKED_ATTRIBUTE = re.compile(r'\s[\w-]+="[^"]*[_*][^"]*"')
# Markdown's pairs end with the line, so a line break in a tag of no effect parts them.
# So does one in `[text](address)`. A pair of backticks goes over lines and tags.
_PART = '<i class="part\nend"></i>'
_GRAVE = "\u02cb"  # looks like a backtick


def html_preview(page: str) -> HTMLPreview:
    """The page without what is not shown, and with nothing that Markdown would change.

    Args:
        page: HTML, a whole document or a part of one.
    """
    shown: list[str] = []
    line_break = " "
    for piece in _TAG.split(_UNSEEN.sub("", page).strip()):
        if _TAG.fullmatch(piece):
            line_break = {"<pre>": "<br>", "</pre>": " "}.get(piece, line_break)
            shown.append(_MARKED_ATTRIBUTE.sub("", piece))
        else:
            text = re.sub(r"\n", line_break, piece)
            parted = re.sub(r"([_*\]])", rf"\1{_PART}", text)
            shown.append(parted.replace("`", _GRAVE))
    return HTMLPreview("".join(shown))
