"""Whether a stored run may be continued, by its fingerprint beside the journal."""

import json
import os
from pathlib import Path

from po_optimizer.errors import ChangedRunError
from po_optimizer.optimization.fingerprint import Fingerprint, changes
from po_optimizer.optimization.journal import Journal


def open_journal(path: Path, fingerprint: Fingerprint, on_change: str) -> Journal:
    """The journal of this run: continued if nothing has changed, else anew.

    Args:
        path: The journal; its fingerprint lies beside it.
        fingerprint: Of the run that begins.
        on_change: `stop` or `restart`.

    Raises:
        ChangedRunError: Something has changed and `on_change` is `stop`.
    """
    beside = path.with_suffix(".fingerprint.json")
    earlier = _read(beside)
    changed = changes(earlier, fingerprint) if earlier is not None else []
    if changed and on_change == "stop":
        raise ChangedRunError(str(path), changed)
    journal = Journal(path, resume=earlier is not None and not changed)
    _write(beside, fingerprint)
    return journal


def _read(path: Path) -> Fingerprint | None:
    if not path.exists():
        return None
    stored: Fingerprint = json.loads(path.read_text(encoding="utf-8"))
    return stored


def _write(path: Path, fingerprint: Fingerprint) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(fingerprint, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
