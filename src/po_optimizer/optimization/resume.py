"""Whether a stored run may be continued, by its fingerprint beside the journal."""

import json
from logging import getLogger
from pathlib import Path

from po_optimizer.errors import PoOptimizerError, listed
from po_optimizer.files import write_whole
from po_optimizer.optimization.fingerprint import Fingerprint, changes
from po_optimizer.optimization.journal import Journal

_log = getLogger(__name__)


def open_journal(path: Path, fingerprint: Fingerprint, on_change: str) -> Journal:
    """The journal of this run: continued if nothing has changed, else anew.

    An earlier run that came to its end is not in danger: a changed one follows it
    without a question, and its answers stay in the response cache.

    Args:
        path: The journal; its fingerprint lies beside it.
        fingerprint: Of the run that begins.
        on_change: `stop` or `restart`.

    Raises:
        PoOptimizerError: Something has changed since a run that did not come to
            its end, and `on_change` is `stop`.
    """
    beside = _fingerprint_of(path)
    earlier, changed = _read(beside), changes_since(path, fingerprint)
    if changed and on_change == "stop" and not _end_of(path).exists():
        raise PoOptimizerError(
            f"the run in {path} cannot be resumed: changed since are "
            f"{listed(changed)}. Undo the change, or start anew with "
            "--params optimize.on_change=restart (LM answers are kept)."
        )
    if changed:
        _end_of(path).unlink(missing_ok=True)
        _log.info("a new optimization: %s", listed(changed))
    resumed = earlier is not None and not changed
    journal = Journal(path, fingerprint, resume=resumed)
    write_whole(beside, json.dumps(fingerprint, indent=1, ensure_ascii=False))
    return journal


def changes_since(path: Path, fingerprint: Fingerprint) -> list[str]:
    """What is different in the run that the journal is of; [] if there is none."""
    earlier = _read(_fingerprint_of(path))
    return [] if earlier is None else changes(earlier, fingerprint)


def mark_complete(path: Path) -> None:
    """Notes that the run of this journal came to its end."""
    _end_of(path).touch()


def _fingerprint_of(path: Path) -> Path:
    return path.with_suffix(".fingerprint.json")


def _end_of(path: Path) -> Path:
    return path.with_suffix(".complete")


def _read(path: Path) -> Fingerprint | None:
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_bytes())
    except ValueError:  # in another encoding, or cut: it names no run
        stored = None
    return stored if isinstance(stored, dict) else {}
