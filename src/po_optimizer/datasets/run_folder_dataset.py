"""What one run leaves, in a folder of its own."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from po_optimizer.datasets.file_dataset import FileDataset, writing


class RunFolderDataset(FileDataset[Mapping[str, str], list[str]]):
    """A folder with a folder for each run: nothing that a run left is overwritten.

    Args:
        filepath: The folder, on any file system that fsspec knows.
        credentials: For the file system; never shown.
        metadata: Free, for plugins.
    """

    _what = "run"

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, credentials=credentials, metadata=metadata)

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
            with writing(folder.shown(place.name)):
                folder.stage(place.name, text.encode("utf-8")).commit()
