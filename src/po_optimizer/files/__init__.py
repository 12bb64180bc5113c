"""Files that are written whole or not at all, locally and behind fsspec."""

from typing import TypeAlias

from po_optimizer.files.atomic import (
    Staged,
    UnconfirmedError,
    read_whole,
    write_whole,
)
from po_optimizer.files.local import LocalFolder
from po_optimizer.files.remote import RemoteFolder, StagedObject

Folder: TypeAlias = LocalFolder | RemoteFolder
StagedFile: TypeAlias = Staged | StagedObject

__all__ = [
    "Folder",
    "LocalFolder",
    "RemoteFolder",
    "Staged",
    "StagedFile",
    "UnconfirmedError",
    "read_whole",
    "write_whole",
]
