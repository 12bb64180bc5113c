"""Folders behind fsspec in which files are published.

`None`, `False` and an empty list mean that nothing is there. A place that could not be
looked at is an OSError, never "nothing". A `LocalFolder` has the same methods.
"""

import errno
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from po_optimizer.files.atomic import MAX_BYTES
from po_optimizer.secret import without_credentials

_STALE_SECONDS = 3600
_STAGED_NAME = re.compile(r"\..+\.(\d+)-[0-9a-f]{8}\.tmp", re.DOTALL)


class RemoteFolder:
    """A folder of an fsspec file system: whole objects, read back, then moved.

    The first part of a path that does not begin with a slash is a bucket or container:
    it is never made, and one that is missing is an error.

    Args:
        filesystem: Any fsspec file system; a move must be one step on it, which a
            server-side copy of an object store is.
        folder: Path of the folder on it.
    """

    def __init__(self, filesystem: Any, folder: str) -> None:
        self.filesystem = filesystem
        self.folder = str(filesystem._strip_protocol(folder)).rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes | None:
        """The bytes of an object of a bounded size; None when there is none."""
        path = self._path(name)
        with self._asked(name):
            try:
                size = int(self.filesystem.info(path).get("size") or 0)
            except FileNotFoundError:
                size = 0  # reading it tells why
            if size > max_bytes:
                msg = f"it has {size:,} bytes, over the {max_bytes:,} that are read"
                raise OSError(msg)
            try:
                data: bytes = self.filesystem.cat_file(path)
            except (FileNotFoundError, NotADirectoryError):
                self._check_container()
                return None
        return data

    def exists(self, name: str) -> bool:
        """True when something of this name is there."""
        with self._asked(name):
            try:
                self.filesystem.info(self._path(name))
            except FileNotFoundError:
                # HTTP's client says so of a server that is down, too; reading does not
                return self.read(name) is not None
        return True

    def names(self) -> list[str]:
        """What is in the folder."""
        with self._asked(""):
            self.filesystem.invalidate_cache(self.folder)
            try:
                paths = self.filesystem.ls(self.folder, detail=False)
            except FileNotFoundError:
                self._check_container()
                return []
        return sorted({path.rstrip("/").rpartition("/")[2] for path in paths} - {""})

    def child(self, name: str) -> "RemoteFolder":
        """A folder in this one."""
        return RemoteFolder(self.filesystem, self._path(name))

    def stage(
        self, name: str, data: bytes | None = None, like: str | None = None
    ) -> "StagedObject":
        """The content under another name, read back; or empty, a local file so far."""
        staged = StagedObject(self, name)
        if data is None:
            return staged
        try:
            with self._asked(name):
                self._upload(self._path(staged.name), data)
        except OSError:
            staged.discard()
            raise
        return staged

    def _make_folder(self) -> None:
        if not self._container:
            self.filesystem.makedirs(self.folder, exist_ok=True)

    def _upload(self, path: str, data: bytes) -> None:
        self._make_folder()
        self.filesystem.pipe_file(path, data)
        if self.filesystem.cat_file(path) != data:
            msg = "it reads back differently"
            raise OSError(msg)

    def open(self, name: str) -> BinaryIO:
        """An object of any size."""
        with self._asked(name):
            opened: BinaryIO = self.filesystem.open(self._path(name), "rb")
        return opened

    def modified(self, name: str) -> datetime:
        """When the object was changed last (UTC); now, where the client cannot tell."""
        try:
            changed: datetime = self.filesystem.modified(self._path(name))
        except NotImplementedError:
            return datetime.now(UTC)
        return changed.astimezone(UTC)

    def upload(self, staged: str, file: Path) -> None:
        """Stage a local file's bytes under that name."""
        with self._asked(staged):
            self._make_folder()
            self.filesystem.put_file(str(file), self._path(staged))

    def move(self, name: str, target: str) -> None:
        """Give an object another name, on the server."""
        with self._asked(target):
            if not self._container:
                self.filesystem.mv(self._path(name), self._path(target))
            else:  # an object store copies; its client's `mv` may delete in bulk
                self.filesystem.cp_file(self._path(name), self._path(target))
                self.filesystem.rm_file(self._path(name))
            self.filesystem.invalidate_cache(self.folder)

    def remove(self, name: str) -> None:
        """Delete an object if it is there and can be deleted."""
        with suppress(OSError), self._asked(name):
            self.filesystem.rm_file(self._path(name))

    def tidy(self) -> bool:
        """Remove what an hour ago was staged; True if something younger is."""
        busy = False
        for name in self.names():
            if match := _STAGED_NAME.fullmatch(name):
                if time.time() - int(match[1]) > _STALE_SECONDS:
                    self.remove(name)
                else:
                    busy = True
        return busy

    def remove_if_empty(self) -> None:
        """An object store has no folders; elsewhere an empty one does no harm."""

    def address(self, name: str) -> str:
        """The object's address."""
        path = self._path(name) if name else self.folder
        return without_credentials(self.filesystem.unstrip_protocol(path))

    @property
    def _container(self) -> str:
        """The bucket, where the file system has buckets; else ""."""
        first = self.folder.partition("/")[0]
        return "" if first.endswith(":") else first  # a URL has a server

    def _check_container(self) -> None:
        container = self._container
        if not container:
            return
        try:
            self.filesystem.ls(container, detail=False)
        except FileNotFoundError as error:
            msg = f"there is no {self.filesystem.unstrip_protocol(container)}"
            raise OSError(f"{msg}: correct its name, or create it") from error
        except PermissionError:
            return  # it is there; more may not be seen with these credentials

    @contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        """Makes an OSError with the object's address of whatever the client raises."""
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.filename == self.address(name):
                raise
            problem = (str(error) or type(error).__name__).rstrip(".")
            denied = isinstance(error, PermissionError)
            code = errno.EACCES if denied else errno.EIO  # never "no such file"
            problem = without_credentials(problem)
            raise OSError(code, problem, self.address(name)) from error


class StagedObject:
    """An object that was uploaded under another name."""

    def __init__(self, folder: RemoteFolder, name: str) -> None:
        self._folder = folder
        self._target = name
        self._pending = True
        self._file: tempfile._TemporaryFileWrapper[bytes] | None = None
        self.name = f".{name}.{int(time.time())}-{secrets.token_hex(4)}.tmp"

    def write(self, data: bytes) -> None:
        """Append the bytes to a local file."""
        if self._file is None:
            self._file = tempfile.NamedTemporaryFile()  # noqa: SIM115 closed below
        self._file.write(data)

    @contextmanager
    def local_copy(self) -> Iterator[Path]:
        """The object, fetched again into a temporary file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "document.json"
            path.write_bytes(self._folder.read(self.name) or b"")
            yield path

    def commit(self) -> None:
        """Move the object to its name, on the server."""
        if self._file is not None:
            self._file.flush()
            self._folder.upload(self.name, Path(self._file.name))
        self._folder.move(self.name, self._target)
        self._pending = False
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def discard(self) -> None:
        """Delete the object, unless it has got its name."""
        if self._pending:
            self._pending = False
            self._folder.remove(self.name)
            self._close()
