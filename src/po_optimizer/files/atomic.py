"""A local file that is written whole or not at all, and read at once or not at all.

It is written under another name beside its target, reaches the disk and is renamed: a
reader sees the old file or the new one. While its writer lives it is locked: a staged
file without a lock was left by a killed writer, and the next one removes it.
"""

# One `os` call for each step, so that tests can fail each of them:
# ruff: noqa: PTH102, PTH105, PTH108, PTH116
import errno
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MAX_BYTES = 256 * 2**20
_STALE_SECONDS = 3600.0  # where the file system has no locks
_ATTEMPTS = 100
_BLOCK = 2**20  # bytes
_STAGED_NAME = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp", re.DOTALL)
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class UnconfirmedError(OSError):
    """A file got its name, but the disk did not confirm it."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.name = name


def write_whole(path: Path, data: str | bytes) -> None:
    """Replaces the file, or leaves it as it was.

    Raises:
        OSError: No room or no permission, with the name of what was refused.
    """
    try:
        staged = Staged(path)
        try:
            staged.write(data if isinstance(data, bytes) else data.encode("utf-8"))
            staged.commit()
        finally:
            staged.discard()
    except OSError as error:
        error.filename = str(path)  # not the staged one, or none
        raise


def copy_whole(source: Path, target: Path) -> None:
    """Replaces the file by a copy of another one of any size, or leaves it."""
    staged = Staged(target)
    try:
        with source.open("rb") as file:
            while block := file.read(_BLOCK):
                staged.write(block)
        staged.commit()
    finally:
        staged.discard()


def read_whole(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a plain file of a bounded size.

    Raises:
        OSError: It is missing, cannot be read, is no plain file or is too large; of
            the last two not a byte was read.
    """
    with open_plain(path, max_bytes) as file:
        return file.read()


def open_plain(path: Path, max_bytes: int = sys.maxsize) -> BinaryIO:
    """A plain file, open for reading; see `read_whole`."""
    _check_plain(path, os.stat(path), max_bytes)
    return path.open("rb")


def _check_plain(path: Path, status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(code, f"it is {kind}, not a file", str(path))
    if status.st_size > max_bytes:
        size = f"it has {status.st_size:,} bytes, over the {max_bytes:,} that are read"
        raise OSError(errno.EFBIG, size, str(path))


class Staged:
    """A file that is being written under another name beside its target.

    A target that exists keeps its mode and owner; one that is a symbolic link stays
    one, and what it points to is replaced.

    Args:
        target: The file to be; its folder is made.
        like: A file whose mode a new target gets; None: as the umask says.
    """

    def __init__(self, target: Path, like: Path | None = None) -> None:
        self.name = target.name
        self.target = Path(os.path.realpath(target))
        before = _status(self.target)
        if before is not None:
            _check_plain(target, before, before.st_size)
        model = before or (_status(like) if like else None)
        self._descriptor, self.path = _create(self.target, model)
        self._pending = True

    def write(self, data: bytes) -> None:
        """Appends the bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        """Brings what was written to the disk."""
        os.fsync(self._descriptor)

    @contextmanager
    def local_copy(self) -> Iterator[Path]:
        """A path at which the staged bytes are read back: the staged file itself."""
        yield self.path

    def commit(self) -> None:
        """Gives the file its name, durably, in one step.

        Raises:
            UnconfirmedError: The file is in place, but the disk did not confirm it.
        """
        self.sync()
        if fcntl is None:  # Windows renames no open file
            self._close()
        os.replace(self.path, self.target)
        self._pending = False
        self._close()
        try:
            _sync_folder(self.target.parent)
        except OSError as error:
            raise UnconfirmedError(self.name, str(error)) from error

    def discard(self) -> None:
        """Removes the staged file, unless it has got its name."""
        if self._pending:
            self._pending = False
            with suppress(OSError):
                os.unlink(self.path)
            self._close()

    def _close(self) -> None:
        with suppress(OSError):  # synced already; or closed already
            os.close(self._descriptor)


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _create(target: Path, model: os.stat_result | None) -> tuple[int, Path]:
    """A locked file of a new name, as descriptor and path."""
    mode = 0o666 if model is None else stat.S_IMODE(model.st_mode)
    descriptor, path = _create_locked(target, mode)
    if model is not None:
        with suppress(OSError):
            os.chown(path, model.st_uid, model.st_gid)
        path.chmod(mode)
    return descriptor, path


def _create_locked(target: Path, mode: int) -> tuple[int, Path]:
    """Tries again if another process removed the folder or the file meanwhile."""
    for _ in range(_ATTEMPTS):
        make_durable_folder(target.parent)
        remove_leftovers(target.parent)
        name = f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
        path = target.parent / name
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        except FileNotFoundError:
            continue
        if fcntl is not None:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)
    raise OSError(
        errno.ENOENT, "its folder disappears while it is written", str(target.parent)
    )


def remove_leftovers(folder: Path) -> bool:
    """Removes what killed writers left in the folder; True if another one writes."""
    busy = False
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if _STAGED_NAME.fullmatch(entry.name) and entry.is_file(
                follow_symlinks=False
            ):
                busy = not _removed_if_abandoned(Path(entry.path)) or busy
    return busy


def _removed_if_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return not path.exists()
    try:
        if not _is_abandoned(descriptor):
            return False
        with suppress(OSError):
            os.unlink(path)
        return True
    finally:
        os.close(descriptor)


def _is_abandoned(descriptor: int) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        else:
            return True
    return time.time() - os.fstat(descriptor).st_mtime > _STALE_SECONDS


def make_durable_folder(folder: Path) -> None:
    """Makes a folder with its parents, and has the disk confirm each."""
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
