"""Folders as catalog entries: for what a node writes while it runs, and runs leave."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from po_optimizer.datasets.file_dataset import FileDataset, local_path, writing


class FolderDataset(AbstractDataset[None, Path]):
    """Loads the path of a folder, made when missing.

    A trial journal and the best program so far must be on the disk before a node
    ends, so they cannot be its outputs; the catalog still says where they lie.

    Args:
        filepath: The folder, on the local disk: what is in it is appended to.
        metadata: Free, for plugins.
    """

    def __init__(
        self, *, filepath: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self.metadata = metadata
        self._filepath = local_path(filepath)

    def load(self) -> Path:
        """The folder's path; the folder exists."""
        self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath

    def save(self, data: None) -> None:
        """A folder is written by what uses it."""
        msg = "FolderDataset is read-only: write into the folder that it loads"
        raise DatasetError(msg)

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class RunFolderDataset(FileDataset[Mapping[str, str], list[str]]):
    """A folder with a folder for each run: nothing that a run left is overwritten.

    Args:
        filepath: The folder, on any file system that fsspec knows.
        credentials: For the file system; never shown.
        metadata: Free, for plugins.
    """

    _what = "run"

    def load(self) -> list[str]:
        """The names of the runs, the newest first."""
        return self.folder().names()[::-1]

    def save(self, data: Mapping[str, str]) -> None:
        """Writes the files of a run, each whole, in the order of the mapping.

        Args:
            data: `<run>/<file>` to text; the last file tells that all are there.

        Raises:
            DatasetError: No room or no permission.
        """
        for path, text in data.items():
            place = PurePosixPath(path)
            folder = self.folder().child(place.parent.name)
            with writing(folder.address(place.name)):
                folder.stage(place.name, text.encode("utf-8")).commit()
