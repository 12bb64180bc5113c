"""A file that is replaced whole or not at all.

Opening the target first, as Kedro's own datasets do, leaves a broken file where a good
one was if the data turns out not to be writable.
"""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: str | bytes) -> None:
    """Writes beside the target, reaches the disk, then renames.

    Raises:
        OSError: No room or no permission, with the name of what was refused; the
            old file is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write_beside(path, data if isinstance(data, bytes) else data.encode("utf-8"))
    except OSError as error:
        error.filename = str(path)  # not the temporary one, or none
        raise


def _write_beside(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes it unreadable for others
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
