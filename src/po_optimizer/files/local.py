"""Folders of the local disk in which files are published; see `remote`."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from po_optimizer.files.atomic import (
    MAX_BYTES,
    Staged,
    open_plain,
    read_whole,
    remove_leftovers,
)


class LocalFolder:
    """A folder of the local disk.

    Args:
        folder: Created with its parents when the first file is staged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes | None:
        """The bytes of a plain file of a bounded size; None when there is none."""
        try:
            return read_whole(self.folder / name, max_bytes)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, name: str) -> bool:
        """True when something of this name is there."""
        try:
            (self.folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def names(self) -> list[str]:
        """What is in the folder, sorted; empty when there is no folder."""
        try:
            return sorted(path.name for path in self.folder.iterdir())
        except FileNotFoundError:
            return []

    def child(self, name: str) -> "LocalFolder":
        """A folder in this one."""
        return LocalFolder(self.folder / name)

    def stage(
        self, name: str, data: bytes | None = None, like: str | None = None
    ) -> Staged:
        """A file that has no name yet; it is gone again if it cannot be written.

        Args:
            name: The name that `commit` gives it.
            data: The whole content, durable at once; None to write piece by piece.
            like: A file of the folder whose mode a new one gets.
        """
        staged = Staged(self.folder / name, self.folder / like if like else None)
        if data is None:
            return staged
        try:
            staged.write(data)
            staged.sync()
        except OSError:
            staged.discard()
            raise
        return staged

    def open(self, name: str) -> BinaryIO:
        """A plain file of any size, to read piece by piece."""
        return open_plain(self.folder / name)

    def modified(self, name: str) -> datetime:
        """When the file was changed last (UTC)."""
        changed = (self.folder / name).stat().st_mtime
        return datetime.fromtimestamp(changed, UTC)

    def remove(self, name: str) -> None:
        """Delete a file if it is there and can be deleted."""
        with suppress(OSError):
            (self.folder / name).unlink()

    def tidy(self) -> bool:
        """Remove what killed writers left; True if another one is writing here."""
        return remove_leftovers(self.folder)

    def remove_if_empty(self) -> None:
        """Delete the folder if there is nothing in it."""
        with suppress(OSError):
            self.folder.rmdir()

    def address(self, name: str) -> str:
        """The file's path."""
        return str(self.folder / name)
