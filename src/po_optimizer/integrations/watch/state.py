"""What journals and ledgers say of the optimizations below a folder."""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import Any

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.usage import Usage
from po_optimizer.optimization.forecast import Forecast
from po_optimizer.optimization.journal import BEST_ANSWERS, Trial, read_journal
from po_optimizer.optimization.run_identity import optimization_id
from po_optimizer.optimization.steering import read_request
from po_optimizer.persistence.format import read_local
from po_optimizer.persistence.outline import outline_program

if sys.platform != "win32":
    import fcntl

_JOURNAL = "trials.jsonl"
_BEST = "best_program_so_far.json"
_MODELS, _OUTPUT = "06_models", "07_model_output"
_MAX_RECORDS, _NUM_WORST, _MAX_CHARACTERS = 2000, 3, 2000


@dataclass(frozen=True)
class WatchedRun:
    """One optimization, by its workspace.

    Attributes:
        id: Of the workspace: two runs may be the same optimization.
        optimization_id: What all its restarts share.
        name: The workspace below the watched folder.
        workspace: Its folder.
    """

    id: str
    optimization_id: str
    name: str
    workspace: Path

    def describe(self) -> dict[str, Any]:
        """What the page shows, JSON-ready."""
        trials = read_journal(self.workspace / _JOURNAL)
        forecast, spent = self._forecast(), self._spent()
        planned = forecast.trials if forecast else None
        request = read_request(self.workspace)
        return {
            "id": self.id,
            "optimization_id": self.optimization_id,
            "name": self.name,
            "running": self.is_running(),
            "paused": request.pause,
            "stopping": request.stop,
            "budget": request.budget.model_dump() if request.budget else None,
            "trials": [trial.model_dump(mode="json") for trial in trials],
            "planned": planned,
            "spent": {**spent.model_dump(), "tokens": spent.tokens},
            "expected_calls": forecast.calls.upper if forecast else None,
            "seconds_left": _seconds_left(trials, planned),
            "prompts": self._prompts(),
            "worst": self._worst(),
        }

    def is_running(self) -> bool:
        """A process holds the journal's lock."""
        lock = (self.workspace / _JOURNAL).with_suffix(".lock")
        try:
            with lock.open("rb") as file:
                if sys.platform == "win32":  # there are no such locks
                    return True
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _forecast(self) -> Forecast | None:
        """In a project it lies beside the workspace, of Python's `optimize` in it."""
        for folder in (self.workspace, self.workspace.parent):
            with suppress(OSError, ValueError):
                text = (folder / "forecast.json").read_bytes()
                return Forecast.model_validate_json(text)
        return None

    def _spent(self) -> Usage:
        usages = (
            Ledger(path).totals(optimization_id=self.optimization_id)
            for path in self.ledgers()
        )
        return sum(usages, start=Usage())

    def ledgers(self) -> Iterator[Path]:
        """Of every LM of the role in a project's data, or below the workspace."""
        yield from (self.workspace / "lms").rglob("ledger.sqlite")
        if (place := self._place()) is not None:
            output, own = place
            yield from (output / own.parts[0]).rglob("ledger.sqlite")

    def _place(self) -> tuple[Path, Path] | None:
        """The folder of a project's answers, and where in it this run's lie."""
        for folder in self.workspace.parents:
            if folder.name == _MODELS:
                own = self.workspace.relative_to(folder).parent
                return folder.with_name(_OUTPUT), own
        return None

    def _worst(self) -> dict[str, Any] | None:
        """The lowest scores of the best program so far, or of a later evaluation."""
        output, own = self._place() or (self.workspace, Path())
        paths = [self.workspace / BEST_ANSWERS]
        for which in ("baseline", "optimized"):
            paths += (output / own).glob(f"*{which}_predictions.jsonl*")
        changed: dict[Path, int] = {}
        for path in paths:
            with suppress(OSError):  # there is none yet, or it was replaced meanwhile
                if (status := path.stat()).st_size:
                    changed[path] = status.st_mtime_ns
        with suppress(OSError):
            if changed:
                newest = max(changed, key=changed.__getitem__)
                return _worst_records(newest, changed[newest])
        return None

    def _prompts(self) -> list[dict[str, Any]]:
        """Of the best program so far; its code is not run."""
        try:
            outline = outline_program(read_local(self.workspace / _BEST))
        except PoOptimizerError:  # there is none yet
            return []
        return [
            {"path": p.path, "instructions": p.instructions, "n_demos": len(p.demos)}
            for p in outline
        ]


@lru_cache(maxsize=16)
def _worst_records(path: Path, changed_ns: int) -> dict[str, Any]:
    """What the page shows of an evaluation's records.

    Args:
        path: A file of `PredictionRecord`s, perhaps cut in its last line.
        changed_ns: When it was changed last: read again only then.
    """
    records = []
    with path.open("rb") as lines:
        for line in islice(lines, _MAX_RECORDS):
            with suppress(ValueError):  # the line that is being written
                records.append(PredictionRecord.model_validate_json(line))
    scored = [record for record in records if record.score is not None]
    return {
        "where": "the best program so far, on the valset"
        if path.name == BEST_ANSWERS
        else "the latest evaluation, on the testset",
        "time": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(changed_ns / 1e9)),
        "n": len(scored),
        "examples": [
            {
                "id": record.example_id,
                "which": record.which,
                "score": record.score,
                "why": (record.reason or record.feedback)[:_MAX_CHARACTERS],
                "inputs": _text(record.inputs),
                "answer": _text(record.outputs or record.raw_text),
            }
            for record in nsmallest(_NUM_WORST, scored, key=lambda r: r.score or 0.0)
        ],
    }


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_MAX_CHARACTERS]


def find_runs(folder: Path) -> list[WatchedRun]:
    """The optimizations whose journals lie below a folder."""
    runs = []
    for journal in sorted(folder.rglob(_JOURNAL)):
        beside = journal.with_suffix(".fingerprint.json")
        try:
            fingerprint = json.loads(beside.read_bytes())
        except (OSError, ValueError):
            continue
        name = str(journal.parent.relative_to(folder))
        place = hashlib.sha256(name.encode()).hexdigest()[:12]
        identity = optimization_id(fingerprint)
        runs.append(WatchedRun(place, identity, name, journal.parent))
    return runs


def _seconds_left(trials: list[Trial], planned: int | None) -> float | None:
    """By the mean of the trials so far; None: unknown."""
    if not trials or planned is None:
        return None
    mean: float = sum(trial.seconds for trial in trials) / len(trials)
    return round(max(0.0, mean * (planned - len(trials))), 1)
