"""Records in a JSON Lines file that never stand in memory together."""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview
from pydantic_core import from_json

from po_optimizer.datasets.records import table
from po_optimizer.datasets.whole_file import writing

_BLOCK = 2**20  # bytes


class RecordStream:
    """The records of a file, read one at a time, as often as one likes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The records in the file's order.

        Raises:
            DatasetError: A line is no JSON.
        """
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield from_json(line)
                except ValueError as error:
                    msg = f"{self._path} is damaged: line {number} is no JSON: {error}."
                    again = "Run the stage that makes it again."
                    raise DatasetError(f"{msg} {again}") from error

    def __len__(self) -> int:
        """The number of records; the file is read for it, not parsed."""
        with self._path.open("rb") as file:
            return sum(
                block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b"")
            )


class RecordStreamDataset(AbstractDataset[Iterable[Mapping[str, Any]], RecordStream]):
    """A local JSON Lines file of records that is written and read as a stream.

    What is saved may be lazy. Each record is written as soon as it is made, to
    `<name>.part` beside the file, where one may watch it grow. The whole stream then
    takes the file's place: a reader meets the old records or the new ones, never a
    part of them, whatever was killed.

    Args:
        filepath: The file.
        metadata: Free, for plugins.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self.metadata = metadata
        self._filepath = Path(filepath)

    def load(self) -> RecordStream:
        """The records, none of them read yet."""
        self._filepath.stat()  # a missing file is told now, not in the middle of a node
        return RecordStream(self._filepath)

    def save(self, data: Iterable[Mapping[str, Any]]) -> None:
        """Writes the stream to its end, then replaces the file.

        Raises:
            DatasetError: No room or no permission; the old file is untouched. An error
                of the stream itself is the cause of Kedro's.
        """
        records = iter(data)
        try:
            with writing(self._filepath):
                file = self._begin()
            with file:
                for record in records:
                    line = json.dumps(record, ensure_ascii=False, allow_nan=False)
                    with writing(self._filepath):
                        file.write(line + "\n")
                with writing(self._filepath):
                    self._publish(file)
        finally:
            # left open, its threads would go on asking the LM
            if (close := getattr(records, "close", None)) is not None:
                close()

    def preview(self, num_records: int = 20) -> TablePreview:
        """The first records, a column for each field."""
        return table(list(islice(self.load(), num_records)))

    @property
    def _part(self) -> Path:
        return self._filepath.with_name(f"{self._filepath.name}.part")

    def _begin(self) -> TextIO:
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._part.unlink(missing_ok=True)  # of a killed run
        return self._part.open("x", encoding="utf-8", buffering=1)

    def _publish(self, file: TextIO) -> None:
        os.fsync(file.fileno())
        mine = os.fstat(file.fileno())
        if not (self._part.exists() and os.path.samestat(mine, self._part.stat())):
            raise OSError(errno.EBUSY, "another run writes it at the same time")
        self._part.replace(self._filepath)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
