"""Files are written in one place."""

import re
from pathlib import Path

import po_optimizer

SOURCE = Path(po_optimizer.__file__).parent
WRITING = re.compile(r"""write_(text|bytes)\(|open\((\S+, )?["'][wx]|\.rename\(""")
UNNAMED = {"lms/embedded/weights.py", "files/remote.py"}  # in a temporary folder


def test_only_files_write_files() -> None:
    """Whatever replaces a file does it whole: with `write_whole` or a folder."""
    writers = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if WRITING.search(path.read_text(encoding="utf-8"))
    }
    assert writers == UNNAMED
