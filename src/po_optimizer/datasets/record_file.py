"""Raw records in a file of any of the usual kinds, as one catalog entry."""

import json
from typing import Any

import fsspec
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from po_optimizer.datasets.file_dataset import at_home
from po_optimizer.datasets.previews import table_preview
from po_optimizer.records.reading import Table, parse_arrow, parse_file, read_table
from po_optimizer.roles.build import import_object
from po_optimizer.secret import without_credentials

_DATASET_FOLDER = "state.json"  # of Hugging Face's `Dataset.save_to_disk`
_SEVERAL = "dataset_dict.json"  # of `DatasetDict.save_to_disk`


class RecordFileDataset(AbstractDataset[None, Table | None]):
    """Loads the rows of a file, whose ending says of what kind it is.

    JSON Lines (with a byte order mark or not), a JSON array, CSV, TSV, Parquet, a
    folder that Hugging Face's `save_to_disk` wrote, or `package.module:name` of a
    function that gives rows (mappings, examples, a data frame). Read-only.

    Args:
        filepath: On any file system that fsspec knows; None: nothing is loaded.
        credentials: For the file system; never shown.
        fs_args: Arguments of the file system's constructor.
        metadata: Free, for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str | None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self._filepath = None if filepath is None else at_home(str(filepath))
        self._options = {**(fs_args or {}), **(credentials or {})}

    def load(self) -> Table | None:
        """The rows; None without a path.

        Raises:
            FileNotFoundError: There is no file.
            DatasetError: It is not of the kind that its ending says.
        """
        if self._filepath is None:
            return None
        name = self._filepath.rpartition("/")[2]
        module, colon, function = name.partition(":")
        if colon and all(
            part.isidentifier() for part in (*module.split("."), function)
        ):
            given = import_object("raw_records", name)
            return read_table(given() if callable(given) else given, name)
        fs, path = fsspec.url_to_fs(self._filepath, **self._options)
        address = without_credentials(self._filepath)
        if fs.isdir(path):
            return self._folder(fs, path, address)
        try:
            return Table(address, parse_file(name, fs.cat_file(path)))
        except ValueError as error:  # pyarrow's and Unicode's, too
            problem = str(error).partition("\n")[0]
            msg = f"{address} cannot be read as its ending says: {problem}. Give JSON "
            msg += "Lines, JSON, CSV or TSV, saved as UTF-8, or Parquet."
            raise DatasetError(msg) from error

    def _folder(self, fs: Any, path: str, address: str) -> Table:
        if fs.exists(f"{path}/{_SEVERAL}"):
            splits = json.loads(fs.cat_file(f"{path}/{_SEVERAL}"))["splits"]
            msg = f"{address} holds several tables. Name one of: {address}/"
            raise DatasetError(msg + f", {address}/".join(splits))
        if not fs.exists(f"{path}/{_DATASET_FOLDER}"):
            msg = (
                f"{address} is a folder, and none that a Dataset's save_to_disk wrote. "
            )
            raise DatasetError(f"{msg}Name a file in it.")
        state = json.loads(fs.cat_file(f"{path}/{_DATASET_FOLDER}"))
        names = [file["filename"] for file in state["_data_files"]]
        return Table(address, parse_arrow(fs.cat_file(f"{path}/{n}") for n in names))

    def save(self, data: None) -> None:
        """Raw records come from outside."""
        msg = "RecordFileDataset is read-only: raw records come from outside"
        raise DatasetError(msg)

    def preview(self, num_records: int = 20) -> TablePreview:
        """The first records, a column for each field; why others are none."""
        table = self.load() if self._exists() else None
        rows = table.rows[:num_records] if table else ()
        return table_preview(
            [{"unreadable": row.problem} if row.problem else row.value for row in rows]
        )

    def _exists(self) -> bool:
        if self._filepath is None:
            return False
        fs, path = fsspec.url_to_fs(self._filepath, **self._options)
        return ":" in path.rpartition("/")[2] or bool(fs.exists(path))

    def _describe(self) -> dict[str, Any]:
        path = self._filepath
        return {"filepath": None if path is None else without_credentials(path)}
