"""What every dataset of ours that is a file has in common."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property, wraps
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import fsspec
from kedro.io.core import (
    AbstractDataset,
    AbstractVersionedDataset,
    DatasetError,
    Version,
    VersionNotFoundError,
    get_filepath_str,
    get_protocol_and_path,
)

from po_optimizer.errors import SettingError, listed, refusal
from po_optimizer.files import Folder, LocalFolder, RemoteFolder
from po_optimizer.files.atomic import MAX_BYTES
from po_optimizer.secret import without_credentials

_DI = TypeVar("_DI")
_DO = TypeVar("_DO")

NOTHING_STORED = "nothing stored yet"
_REMEDY = "Run the stage that makes it, or correct its path."


@contextmanager
def writing(where: object) -> Iterator[None]:
    """Turns an OSError of the block into one sentence.

    Raises:
        DatasetError: No room or no permission.
    """
    try:
        yield
    except OSError as error:
        msg = f"{where} cannot be written: {refusal(error)}. What stood there is "
        raise DatasetError(f"{msg}untouched; the same command resumes.") from error


def local_path(filepath: object, setting: str = "filepath") -> Path:
    """A path of the local disk; `~` is the home folder.

    Raises:
        SettingError: It lies elsewhere.
    """
    protocol, path = get_protocol_and_path(at_home(str(filepath)))
    if protocol != "file":
        address = without_credentials(str(filepath))
        problem = "what is in it is appended to while it is used, on the local disk"
        raise SettingError(setting, address, problem, "Give a local folder.")
    return Path(path).absolute()


def check_flag(setting: str, value: object) -> bool:
    """A catalog entry's true or false.

    Raises:
        SettingError: It is something else.
    """
    if isinstance(value, bool):
        return value
    raise SettingError(
        setting, value, "it is true or false", "Correct the catalog entry."
    )


class FileDataset(AbstractVersionedDataset[_DI, _DO]):
    """A file on any file system that fsspec knows, replaced whole or not at all.

    What is missing is told from what could not be looked at: only an empty listing is
    "none", anything else an error that names the place.

    Args:
        filepath: The file; `~` is the home folder.
        version: Kedro's versioning; old versions are kept.
        credentials: For the file system; never shown.
        fs_args: Arguments of the file system's constructor.
        metadata: Free, for plugins.
    """

    _what = "file"

    def __init__(
        self,
        *,
        filepath: Any,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self._protocol, path = get_protocol_and_path(at_home(str(filepath)), version)
        schemes = {*fsspec.available_protocols(), *fsspec.registry}
        if self._protocol not in schemes:
            address = without_credentials(str(filepath))
            problem = f"its scheme is none of {listed(sorted(schemes), 40)}"
            raise SettingError(
                "filepath", address, problem, "Correct the catalog entry."
            )
        self._options = {**deepcopy(fs_args or {}), **deepcopy(credentials or {})}
        for name in ("open_args_load", "open_args_save"):
            if name in self._options:
                value, problem = self._options[name], "files are read and written whole"
                raise SettingError(f"fs_args.{name}", value, problem, "Leave it out.")
        super().__init__(
            filepath=PurePosixPath(path),
            version=version,
            exists_function=self._path_exists,
        )

    @property
    def _init_args(self) -> dict[str, Any]:
        """What Kedro's `to_config` writes."""
        return self._given

    @_init_args.setter
    def _init_args(self, given: dict[str, Any]) -> None:
        """Takes what Kedro noted: of a class without an `__init__` only `**kwargs`."""
        given.pop("args", None)
        options = {**given.pop("kwargs", {}), **given.pop("options", {})}
        self._given = {**given, **options}

    @classmethod
    def _save_wrapper(cls, save_func: Any) -> Any:
        """Kedro's check of versions, for versioned files only."""
        plain = vars(AbstractDataset)["_save_wrapper"].__func__(cls, save_func)
        versioned = super()._save_wrapper(save_func)

        @wraps(save_func)
        def save(self: "FileDataset[Any, Any]", data: Any) -> None:
            (plain if self._version is None else versioned)(self, data)

        return save

    @cached_property
    def _fs(self) -> Any:
        """Made when it is needed: an entry that no node uses needs no package."""
        try:
            return fsspec.filesystem(self._protocol, **self._options)
        except ImportError as error:
            msg = f"{self._protocol}:// needs a package that is not installed: {error}"
            raise DatasetError(msg) from error
        except OSError as error:
            problem = str(error).partition("\n")[0]
            msg = f"{self._protocol}:// cannot be reached: {problem}"
            raise DatasetError(msg) from error

    def _folder(self, path: PurePosixPath) -> Folder:
        """The place that a path is, or would be, a folder of."""
        if self._protocol == "file":
            return LocalFolder(Path(str(path)))
        return RemoteFolder(self._fs, get_filepath_str(path, self._protocol))

    def _path_exists(self, path: str) -> bool:
        place = PurePosixPath(path)
        with self._looking():
            return self._folder(place.parent).exists(place.name)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Turns an OSError into a sentence: it is not known what is there."""
        try:
            yield
        except OSError as error:
            where = error.filename or without_credentials(str(self._filepath))
            in_the_way = error.errno == errno.ENOTDIR
            problem = refusal(error) if in_the_way else error.strerror or str(error)
            problem = problem.rstrip(".")
            msg = f"{where} cannot be looked at: {problem}. Whether there is a "
            msg = f"{msg}{self._what} is not known; what is stored is kept: give "
            raise DatasetError(f"{msg}access to it, or correct its path.") from error

    def _versions(self) -> Iterator[str]:
        """Names of the stored versions, the newest first."""
        root = self._folder(self._filepath)
        with self._looking():
            for version in reversed(root.names()):
                if root.child(version).exists(self._filepath.name):
                    yield version

    def _get_versions(self) -> list[str]:
        return [str(self._get_versioned_path(version)) for version in self._versions()]

    def _fetch_latest_load_version(self) -> str:
        if self._cached_load_version is None:
            self._cached_load_version = next(self._versions(), None)
        if self._cached_load_version is None:
            where = self._address(self._filepath)
            msg = f"Did not find any versions of the {self._what} {where}: "
            raise VersionNotFoundError(f"{msg}{NOTHING_STORED}. {_REMEDY}")
        return self._cached_load_version

    def _missing(self, path: PurePosixPath) -> DatasetError:
        """The error for a file that is not there."""
        version = self._version.load if self._version else None
        if version is None:
            problem = f"there is no {self._what} {self._address(path)}. {_REMEDY}"
            return DatasetError(problem)
        versions = listed(list(self._versions()), 20)
        return DatasetError(
            f"there is no version {version!r} of the {self._what} "
            f"{self._address(self._filepath)}. There are: {versions or 'none'}."
        )

    def _not_found(self, path: PurePosixPath) -> FileNotFoundError:
        """What Python says of a missing file, of any file system."""
        problem = os.strerror(errno.ENOENT)
        return FileNotFoundError(errno.ENOENT, problem, self._address(path))

    def folder(self) -> Folder:
        """The path as a folder that is looked into."""
        return self._folder(self._filepath)

    def _address(self, path: PurePosixPath) -> str:
        return self._folder(path.parent).address(path.name)

    def _read(self, max_bytes: int = MAX_BYTES) -> bytes | None:
        """The file's bytes; None if there is none and no version was asked for."""
        try:
            path = self._get_load_path()
        except VersionNotFoundError:
            return None
        folder = self._folder(path.parent)
        data = folder.read(path.name, max_bytes)
        if data is None and self._version and self._version.load:
            raise self._missing(path)
        return data

    def _write(self, data: bytes) -> None:
        path = self._get_save_path()
        folder = self._folder(path.parent)
        with writing(folder.address(path.name)):
            folder.stage(path.name, data).commit()
        self._tidy_versions(path)

    def _tidy_versions(self, saved: PurePosixPath) -> None:
        """Removes what killed saves left in the folders of other versions."""
        if self._version is None:
            return
        root = self._folder(self._filepath)
        with self._looking():
            others = [name for name in root.names() if name != saved.parent.name]
        for name in others:
            self._tidy(root.child(name))

    def _tidy(self, folder: Folder) -> None:
        if not folder.tidy():
            folder.remove_if_empty()

    def _exists(self) -> bool:
        try:
            path = self._get_load_path()
        except VersionNotFoundError:
            return False
        return self._path_exists(str(path))

    def _release(self) -> None:
        super()._release()
        if self._protocol != "file" and "_fs" in vars(self):
            self._fs.invalidate_cache(get_filepath_str(self._filepath, self._protocol))

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": PurePosixPath(without_credentials(str(self._filepath))),
            "protocol": self._protocol,
            "version": self._version,
        }


def at_home(filepath: str) -> str:
    """The path with `~` as home; Kedro puts the project's folder before it."""
    parts = filepath.split("/")
    if "://" in filepath or "~" not in parts:
        return filepath
    return Path.home().joinpath(*parts[parts.index("~") + 1 :]).as_posix()
