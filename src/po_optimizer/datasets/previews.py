"""HTML and tables that kedro-viz shows as they are meant.

Of HTML kedro-viz removes scripts and styles and reads what is left as Markdown, line by
line: of `requirements_yaml ... product_vision` it makes italics, of line breaks in the
source line breaks on the page.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from kedro_datasets._typing import HTMLPreview, TablePreview

_CELL_CHARACTERS = 300
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
    pieces: list[str] = []
    line_break = " "
    for piece in _TAG.split(_UNSEEN.sub("", page).strip()):
        if _TAG.fullmatch(piece):
            line_break = {"<pre>": "<br>", "</pre>": " "}.get(piece, line_break)
            pieces.append(_MARKED_ATTRIBUTE.sub("", piece))
        else:
            text = re.sub(r"\n", line_break, piece)
            parted = re.sub(r"([_*\]])", rf"\1{_PART}", text)
            pieces.append(parted.replace("`", _GRAVE))
    return HTMLPreview("".join(pieces))


def table_preview(records: list[Any]) -> TablePreview:
    """What kedro-viz shows of the records, nested fields as dotted columns."""
    flat = [_flat(record) for record in records]
    columns = list(dict.fromkeys(name for record in flat for name in record))
    data = [[record.get(name, "") for name in columns] for record in flat]
    return TablePreview(
        {"index": list(range(len(data))), "columns": columns, "data": data}
    )


def _flat(value: Any, name: str = "") -> dict[str, str]:
    if not isinstance(value, Mapping):
        text = (
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        )
        return {name or "record": text[:_CELL_CHARACTERS]}
    cells: dict[str, str] = {}
    for key, inner in value.items():
        cells |= _flat(inner, f"{name}.{key}" if name else str(key))
    return cells
