"""Datasets for text and JSON files that are replaced whole or not at all."""

import errno
import json
import os
from datetime import datetime
from html import escape
from pathlib import PurePosixPath
from typing import Any

from kedro.io.core import DatasetError, Version
from kedro_datasets._typing import HTMLPreview, JSONPreview

from po_optimizer.datasets.file_dataset import (
    NOTHING_STORED,
    FileDataset,
    check_flag,
    writing,
)
from po_optimizer.datasets.html_preview import html_preview
from po_optimizer.files.atomic import MAX_BYTES


class _TextDataset(FileDataset[Any, Any]):
    """A text file.

    Args:
        filepath: The file, on any file system that fsspec knows.
        optional: Load nothing when there is no file, instead of an error.
        version: Kedro's versioning; old versions are kept.
        credentials: For the file system; never shown.
        fs_args: Arguments of the file system's constructor.
        metadata: Free, for plugins.
    """

    _max_bytes = MAX_BYTES

    def __init__(
        self,
        *,
        filepath: str | os.PathLike[str],
        optional: bool = False,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._optional = check_flag("optional", optional)
        super().__init__(
            filepath=filepath,
            version=version,
            credentials=credentials,
            fs_args=fs_args,
            metadata=metadata,
        )

    def _text(self) -> str | None:
        """The text; None if it is optional and missing."""
        data = self._read(self._max_bytes)
        if data is None and self._optional:
            return None
        if data is None:
            where = self._shown(self._filepath)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), where)
        return self._decoded(data)

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            msg = f"{self._shown(self._filepath)} is no UTF-8 text: {error.reason} at "
            raise DatasetError(f"{msg}byte {error.start}. Save it as UTF-8.") from error

    def _stored_text(self) -> str | None:
        """The text, None if there is none: for previews."""
        data = self._read(self._max_bytes)
        return None if data is None else self._decoded(data)

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "optional": self._optional}


class WholeTextDataset(_TextDataset):
    """A text file, replaced whole or not at all.

    Args:
        filepath: The file, on any file system that fsspec knows.
        keep_previous: Keep what stood there beside it, under the time (UTC) of its
            last change, if the new text is another one: nothing is ever lost.
        optional: Load "" when there is no file, instead of an error.
        version: Kedro's versioning; old versions are kept.
        credentials: For the file system; never shown.
        fs_args: Arguments of the file system's constructor.
        metadata: Free, for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str | os.PathLike[str],
        keep_previous: bool = False,
        optional: bool = False,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._keep_previous = check_flag("keep_previous", keep_previous)
        super().__init__(
            filepath=filepath,
            optional=optional,
            version=version,
            credentials=credentials,
            fs_args=fs_args,
            metadata=metadata,
        )

    def load(self) -> str:
        """The text; "" if it is optional and missing."""
        return self._text() or ""

    def save(self, data: str) -> None:
        """Replaces the file.

        Raises:
            DatasetError: It is no text, or the disk refuses it.
        """
        if not isinstance(data, str):
            kind = type(data).__name__
            msg = f"{self._shown(self._filepath)} takes text, it was given a {kind}"
            raise DatasetError(msg)
        if self._keep_previous and self._version is None:
            self._keep_what_stands(data.encode("utf-8"))
        self._write(data.encode("utf-8"))

    def _keep_what_stands(self, new: bytes) -> None:
        path = self._filepath
        folder = self._folder(path.parent)
        with writing(folder.shown(path.name)):
            stands = folder.read(path.name)  # somebody's own, in any encoding
            if stands is None or stands == new:
                return
            kept = _dated(path, folder.modified(path.name))
            folder.stage(kept, stands, path.name).commit()

    def preview(self) -> HTMLPreview:
        """The text, line by line."""
        text = self._stored_text()
        shown = NOTHING_STORED if text is None else f"<pre>{escape(text)}</pre>"
        return html_preview(shown)

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "keep_previous": self._keep_previous}


def _dated(path: PurePosixPath, changed: datetime) -> str:
    return f"{path.stem}.{changed:%Y-%m-%dT%H.%M.%S.%f}Z{path.suffix}"


class WholeHTMLDataset(WholeTextDataset):
    """An HTML page, replaced whole or not at all; kedro-viz shows its text."""

    def preview(self) -> HTMLPreview:
        """The page, without its figures: kedro-viz runs no script of a preview."""
        return html_preview(self._stored_text() or NOTHING_STORED)


class WholeJSONDataset(_TextDataset):
    """A JSON file, replaced whole or not at all; kedro-viz shows it.

    Args:
        filepath: The file, on any file system that fsspec knows.
        optional: Load None when there is no file, instead of an error.
        version: Kedro's versioning; old versions are kept.
        credentials: For the file system; never shown.
        fs_args: Arguments of the file system's constructor.
        metadata: Free, for plugins.
    """

    def load(self) -> Any:
        """The parsed document; None if it is optional and missing."""
        text = self._text()
        return None if text is None else json.loads(text)

    def save(self, data: Any) -> None:
        """Replaces the file; NaN is refused, JSON has none."""
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
        self._write(f"{text}\n".encode())

    def preview(self) -> JSONPreview:
        """The document."""
        text = self._stored_text()
        return JSONPreview(json.dumps(NOTHING_STORED) if text is None else text)
