"""Datasets for text and JSON files that are replaced whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import HTMLPreview, JSONPreview

from po_optimizer.datasets.html_preview import html_preview
from po_optimizer.errors import refusal
from po_optimizer.files import write_whole


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes one sentence of what the disk refuses in the block.

    Raises:
        DatasetError: No room or no permission.
    """
    try:
        yield
    except OSError as error:
        msg = f"{path} cannot be written: {refusal(error)}. What stood there is "
        raise DatasetError(f"{msg}untouched; the same command resumes.") from error


class WholeTextDataset(AbstractDataset[str, str]):
    """A local text file, replaced whole or not at all.

    Args:
        filepath: The file.
        keep_previous: Keep what stood there beside it, under the time (UTC) of its
            last change, if the new text is another one: nothing is ever lost.
        optional: Load "" when there is no file, instead of an error.
        metadata: Free, for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        keep_previous: bool = False,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self._filepath = Path(filepath)
        self._optional = optional
        self._keep_previous = keep_previous

    def load(self) -> str:
        """The text; "" if it is optional and missing."""
        if self._optional and not self._exists():
            return ""
        try:
            return self._filepath.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            msg = f"{self._filepath} is no UTF-8 text: {error.reason} at byte "
            raise DatasetError(f"{msg}{error.start}. Save it as UTF-8.") from error

    def save(self, data: str) -> None:
        """Replaces the file."""
        with writing(self._filepath):
            if self._keep_previous and self._filepath.exists():
                self._keep_what_stands(data)
            write_whole(self._filepath, data)

    def _keep_what_stands(self, new: str) -> None:
        stands = self._filepath.read_bytes()  # somebody's own, in any encoding
        if stands == new.encode("utf-8"):
            return
        changed = datetime.fromtimestamp(self._filepath.stat().st_mtime, timezone.utc)
        name = f"{self._filepath.stem}.{changed:%Y-%m-%dT%H.%M.%S.%f}Z"
        kept = self._filepath.with_name(f"{name}{self._filepath.suffix}")
        write_whole(kept, stands)

    def preview(self) -> HTMLPreview:
        """The text, line by line."""
        return html_preview(f"<pre>{escape(self.load())}</pre>")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "keep_previous": self._keep_previous}


class WholeHTMLDataset(WholeTextDataset):
    """A local HTML page, replaced whole or not at all; kedro-viz shows its text."""

    def preview(self) -> HTMLPreview:
        """The page, without its figures: kedro-viz runs no script of a preview."""
        return html_preview(self.load())


class WholeJSONDataset(AbstractDataset[Any, Any]):
    """A local JSON file, replaced whole or not at all; kedro-viz shows it.

    Args:
        filepath: The file.
        optional: Load None when there is no file, instead of an error.
        metadata: Free, for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self._text = WholeTextDataset(filepath=filepath)
        self._filepath = Path(filepath)
        self._optional = optional

    def load(self) -> Any:
        """The parsed document; None if it is optional and missing."""
        if self._optional and not self._text.exists():
            return None
        return json.loads(self._text.load())

    def save(self, data: Any) -> None:
        """Replaces the file; NaN is refused, JSON has none."""
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
        self._text.save(text + "\n")

    def preview(self) -> JSONPreview:
        """The document."""
        return JSONPreview(json.dumps(self.load()))

    def _exists(self) -> bool:
        return self._text.exists()

    def _describe(self) -> dict[str, Any]:
        return {**self._text._describe(), "optional": self._optional}
