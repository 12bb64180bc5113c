"""The first line of a run, before anything that takes long is imported."""

import multiprocessing
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

BEGUN = time.monotonic()


def announce(version: str, arguments: Sequence[str]) -> None:
    """Prints what runs, unless this is a process that a run has started.

    Args:
        version: Of this package.
        arguments: Of the command line, after the program's name.
    """
    child = multiprocessing.parent_process() is not None
    if child or arguments[:1] != ["run"] or "--help" in arguments:
        return
    line = f"po_optimizer {version}: {shlex.join(arguments)}"
    with suppress(OSError):  # a full disk; what is logged next says so
        sys.stdout.write("".join(c if c.isprintable() else "?" for c in line) + "\n")
        sys.stdout.flush()
