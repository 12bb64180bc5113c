"""The bytes of a stored document, or why there are none."""

from pathlib import Path

from po_optimizer.errors import ArtifactError, DamagedArtifactError
from po_optimizer.files import Folder, LocalFolder
from po_optimizer.persistence import format as fmt


def read_document(folder: Folder, name: str) -> bytes:
    """The bytes of a document, once its kind and size allow to read it.

    Raises:
        DamagedArtifactError: There is none.
        ArtifactError: It cannot be read, or whether it is there not be seen.
    """
    try:
        data = folder.read(name, fmt.MAX_BYTES)
    except OSError as error:
        problem = (error.strerror or str(error)).rstrip(".")
        raise ArtifactError(
            f"path={folder.shown(name)!r} cannot be read: {problem}. That is not the "
            "same as nothing being stored: give access to it, or correct the path."
        ) from error
    if data is None:
        raise DamagedArtifactError(folder.shown(name), "there is no such file")
    return data


def read_local_document(path: str | Path) -> bytes:
    """The same of a path; see `read_document`."""
    path = Path(path).expanduser()
    return read_document(LocalFolder(path.parent), path.name)
