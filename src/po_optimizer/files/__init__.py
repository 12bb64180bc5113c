"""Files that are written whole or not at all, locally and behind fsspec."""

from po_optimizer.files.atomic import (
    Staged,
    UnconfirmedError,
    read_whole,
    write_whole,
)
from po_optimizer.files.folders import Folder, LocalFolder, RemoteFolder

__all__ = [
    "Folder",
    "LocalFolder",
    "RemoteFolder",
    "Staged",
    "UnconfirmedError",
    "read_whole",
    "write_whole",
]
