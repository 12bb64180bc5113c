"""Files that are replaced whole or not at all: texts, pages, JSON and records.

There is a class for each kind of content because kedro-viz chooses how to show an entry
by the type that its `preview` is declared to return.
"""

import json
from datetime import datetime
from html import escape
from pathlib import PurePosixPath
from typing import Any

from kedro.io.core import DatasetError
from kedro_datasets._typing import HTMLPreview, JSONPreview, PlotlyPreview, TablePreview

from po_optimizer.datasets.file_dataset import (
    NOTHING_STORED,
    FileDataset,
    check_flag,
    writing,
)
from po_optimizer.datasets.previews import html_preview, table_preview
from po_optimizer.files.atomic import MAX_BYTES


class WholeTextDataset(FileDataset[Any, Any]):
    """A text file.

    Args:
        keep_previous: Keep what stood there beside it, under the time (UTC) of its
            last change, if the new content is another one: nothing is ever lost.
        optional: Without a file load nothing ("", of JSON None) instead of an error.
        options: As `FileDataset`.
    """

    _max_bytes = MAX_BYTES
    _nothing: Any = ""

    def __init__(
        self,
        *,
        keep_previous: bool = False,
        optional: bool = False,
        **options: Any,
    ) -> None:
        self._keep_previous = check_flag("keep_previous", keep_previous)
        self._optional = check_flag("optional", optional)
        super().__init__(**options)

    def load(self) -> Any:
        """The content; nothing if it is optional and missing."""
        text = self._text()
        if text is not None:
            return self._parse(text)
        if self._optional:
            return self._nothing
        raise self._not_found(self._filepath)

    def save(self, data: Any) -> None:
        """Replaces the file.

        Raises:
            DatasetError: The file cannot hold it, or the disk refuses it.
        """
        content = self._render(data).encode("utf-8")
        if self._keep_previous and self._version is None:
            self._keep_what_stands(content)
        self._write(content)

    def preview(self) -> HTMLPreview:
        """The text, line by line."""
        text = self._text()
        return html_preview(
            NOTHING_STORED if text is None else f"<pre>{escape(text)}</pre>"
        )

    def _parse(self, text: str) -> Any:
        return text

    def _render(self, data: Any) -> str:
        if isinstance(data, str):
            return data
        kind = type(data).__name__
        msg = f"{self._address(self._filepath)} takes text, it was given a {kind}"
        raise DatasetError(msg)

    def _text(self) -> str | None:
        """The stored text; None if there is none."""
        data = self._read(self._max_bytes)
        try:
            return None if data is None else data.decode("utf-8")
        except UnicodeDecodeError as error:
            msg = (
                f"{self._address(self._filepath)} is no UTF-8 text: {error.reason} at "
            )
            raise DatasetError(f"{msg}byte {error.start}. Save it as UTF-8.") from error

    def _keep_what_stands(self, new: bytes) -> None:
        path = self._filepath
        folder = self._folder(path.parent)
        with writing(folder.address(path.name)):
            stands = folder.read(path.name)  # somebody's own, in any encoding
            if stands is None or stands == new:
                return
            kept = _dated(path, folder.modified(path.name))
            folder.stage(kept, stands, path.name).commit()

    def _describe(self) -> dict[str, Any]:
        options = {"keep_previous": self._keep_previous, "optional": self._optional}
        return {**super()._describe(), **options}


def _dated(path: PurePosixPath, changed: datetime) -> str:
    return f"{path.stem}.{changed:%Y-%m-%dT%H.%M.%S.%f}Z{path.suffix}"


class WholeHTMLDataset(WholeTextDataset):
    """An HTML page; kedro-viz shows its text. Arguments as `WholeTextDataset`."""

    def preview(self) -> HTMLPreview:
        """The page, without its figures: kedro-viz runs no script of a preview."""
        return html_preview(self._text() or NOTHING_STORED)


class WholeJSONDataset(WholeTextDataset):
    """A JSON document; NaN is refused. Arguments as `WholeTextDataset`."""

    _nothing = None

    def _parse(self, text: str) -> Any:
        return json.loads(text)

    def _render(self, data: Any) -> str:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
        return f"{text}\n"

    def preview(self) -> JSONPreview:
        """The document."""
        text = self._text()
        return JSONPreview(json.dumps(NOTHING_STORED) if text is None else text)


class WholeFigureDataset(WholeTextDataset):
    """A figure of Plotly's as JSON. Arguments as `WholeTextDataset`.

    kedro_datasets' own imports pandas, at the start of every run.
    """

    def _parse(self, text: str) -> Any:
        from plotly.io import from_json  # noqa: PLC0415 -- an extra

        return from_json(text)

    def _render(self, data: Any) -> str:
        return str(data.to_json())

    def preview(self) -> PlotlyPreview:
        """The figure."""
        return PlotlyPreview(json.loads(self._text() or "{}"))


class RecordsDataset(WholeJSONDataset):
    """A JSON list of records. Arguments as `WholeTextDataset`."""

    def preview(self, num_records: int = 20) -> TablePreview:
        """The first records, a column for each field."""
        return table_preview(json.loads(self._text() or "[]")[:num_records])
