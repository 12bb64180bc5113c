"""A folder as a catalog entry, for what a node writes while it runs."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from po_optimizer.datasets.file_dataset import local_path


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
