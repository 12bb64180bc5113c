"""Records in a JSON Lines file that never stand in memory together."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import Any

from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview
from pydantic_core import from_json

from po_optimizer.datasets.file_dataset import FileDataset, writing
from po_optimizer.datasets.previews import table_preview
from po_optimizer.files import Folder

_BLOCK = 2**20  # bytes


class RecordStream:
    """The records of a file, read one at a time, as often as one likes."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The records in the file's order.

        Raises:
            DatasetError: A line is no JSON.
        """
        with self._folder.open(self._name) as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield from_json(line)
                except ValueError as error:
                    where = self._folder.address(self._name)
                    msg = f"{where} is damaged: line {number} is no JSON: {error}."
                    again = "Run the stage that makes it again."
                    raise DatasetError(f"{msg} {again}") from error

    def __len__(self) -> int:
        """The number of records; the file is read for it, not parsed."""
        with self._folder.open(self._name) as file:
            return sum(
                block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b"")
            )


class RecordStreamDataset(FileDataset[Iterable[Mapping[str, Any]], RecordStream]):
    """A JSON Lines file of records that is written and read as a stream.

    What is saved may be lazy. Each record is written as soon as it is made, to
    `.<name>.<process>.tmp` beside a local file, where one may watch it grow. The whole
    stream then takes the file's place: a reader meets the old records or the new ones,
    never a part of them, whatever was killed.

    Arguments as `FileDataset`.
    """

    def load(self) -> RecordStream:
        """The records, none of them read yet.

        Raises:
            FileNotFoundError: There is no file: said now, not in the middle of a node.
        """
        path = self._get_load_path()
        folder = self._folder(path.parent)
        if not folder.exists(path.name):
            raise self._not_found(path)
        return RecordStream(folder, path.name)

    def save(self, data: Iterable[Mapping[str, Any]]) -> None:
        """Writes the stream to its end, then replaces the file.

        Raises:
            DatasetError: No room or no permission; the old file is untouched. An error
                of the stream itself is the cause of Kedro's.
        """
        records = iter(data)
        path = self._get_save_path()
        folder = self._folder(path.parent)
        where = folder.address(path.name)
        with ExitStack() as stack:
            # left open, its threads would go on asking the LM
            stack.callback(getattr(records, "close", lambda: None))
            with writing(where):
                staged = folder.stage(path.name)
            stack.callback(staged.discard)
            for record in records:
                line = json.dumps(record, ensure_ascii=False, allow_nan=False)
                with writing(where):
                    staged.write(f"{line}\n".encode())
            with writing(where):
                staged.commit()
        self._tidy_versions(path)

    def preview(self, num_records: int = 20) -> TablePreview:
        """The first records, a column for each field."""
        return table_preview(
            list(islice(self.load(), num_records)) if self._exists() else []
        )
