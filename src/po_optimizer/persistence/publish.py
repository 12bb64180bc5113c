"""Files that appear whole or not at all, on the local disk and behind fsspec.

Staged under another name, read back by the caller, then renamed. What stood there
before is replaced in one step, so a reader sees the old file or the new one.
"""

# One `os` call for each step, so that tests can fail each of them:
# ruff: noqa: PTH102, PTH105, PTH108
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

_STALE_SECONDS = 3600.0


class UnconfirmedError(OSError):
    """A file got its name, but the disk did not confirm it."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.name = name


class Folder(Protocol):
    """A place where files are published."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a published file, None when there is none."""
        ...

    def stage(self, name: str, data: bytes) -> str:
        """Write the bytes durably under a name of their own, and return that name."""
        ...

    def local_copy(self, staged: str) -> Any:
        """A context with a local path at which the staged bytes are read back."""
        ...

    def commit(self, staged: str, name: str) -> None:
        """Give the staged file its name, durably, in one step."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file if it is there."""
        ...

    def shown(self, name: str) -> str:
        """The file's path as the user knows it."""
        ...


class LocalFolder:
    """A folder of the local disk: temporary file, fsync, rename, fsync the folder.

    Args:
        folder: Created with its parents when the first file is staged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        """The bytes of a published file, None when there is none."""
        try:
            return (self.folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def stage(self, name: str, data: bytes) -> str:
        """Write and fsync a temporary file; it is gone again if that fails."""
        _make_durable_folder(self.folder)
        self._remove_stale(name)
        staged = f".{name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
        path = self.folder / staged
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            self.remove(staged)
            raise
        return staged

    @contextmanager
    def local_copy(self, staged: str) -> Iterator[Path]:
        """The staged file itself."""
        yield self.folder / staged

    def commit(self, staged: str, name: str) -> None:
        """Rename over what was there, then fsync the folder.

        Raises:
            UnconfirmedError: The file is in place, but the fsync failed.
        """
        os.replace(self.folder / staged, self.folder / name)
        try:
            _sync_folder(self.folder)
        except OSError as error:
            raise UnconfirmedError(name, str(error)) from error

    def remove(self, name: str) -> None:
        """Delete a file if it is there and can be deleted."""
        with suppress(OSError):
            os.unlink(self.folder / name)

    def shown(self, name: str) -> str:
        """The file's path."""
        return str(self.folder / name)

    def _remove_stale(self, name: str) -> None:
        """Delete what writers that died left behind, once it is an hour old."""
        for path in self.folder.glob(f".{name}.*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()


class RemoteFolder:
    """A folder of an fsspec file system: whole objects, read back, then moved.

    Args:
        filesystem: Any fsspec file system; a move must be one step on it, which a
            server-side copy of an object store is.
        folder: Path of the folder on it.
        protocol: The scheme, for messages.
    """

    def __init__(self, filesystem: Any, folder: str, protocol: str) -> None:
        self.filesystem = filesystem
        self.folder = folder.rstrip("/")
        self.protocol = protocol

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def read(self, name: str) -> bytes | None:
        """The bytes of a published object, None when there is none."""
        try:
            data: bytes = self.filesystem.cat_file(self._path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data

    def stage(self, name: str, data: bytes) -> str:
        """Upload under another name and read it back; gone again if that fails."""
        staged = f".{name}.{secrets.token_hex(8)}.tmp"
        self.filesystem.makedirs(self.folder, exist_ok=True)
        try:
            self.filesystem.pipe_file(self._path(staged), data)
            self._check(staged, data)
        except OSError:
            self.remove(staged)
            raise
        return staged

    def _check(self, staged: str, data: bytes) -> None:
        if self.filesystem.cat_file(self._path(staged)) != data:
            msg = f"{self.shown(staged)} reads back differently"
            raise OSError(msg)

    @contextmanager
    def local_copy(self, staged: str) -> Iterator[Path]:
        """The object, fetched again into a temporary file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "document.json"
            path.write_bytes(self.filesystem.cat_file(self._path(staged)))
            yield path

    def commit(self, staged: str, name: str) -> None:
        """Move the object to its name, on the server."""
        self.filesystem.mv(self._path(staged), self._path(name))
        self.filesystem.invalidate_cache(self.folder)

    def remove(self, name: str) -> None:
        """Delete an object if it is there and can be deleted."""
        with suppress(OSError):
            self.filesystem.rm_file(self._path(name))

    def shown(self, name: str) -> str:
        """The object's path with its protocol."""
        return f"{self.protocol}://{self._path(name).lstrip('/')}"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _make_durable_folder(folder: Path) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(path)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable; Windows cannot open folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
