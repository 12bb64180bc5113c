"""The trial journal: one JSON line per evaluated candidate, continued by a resume."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from logging import getLogger
from pathlib import Path
from typing import Literal

import dspy
from pydantic import BaseModel, ConfigDict, ValidationError

from po_optimizer.errors import PoOptimizerError, listed
from po_optimizer.files import write_whole
from po_optimizer.files.private import open_private
from po_optimizer.optimization.run_identity import Fingerprint, changes

if sys.platform != "win32":
    import fcntl

logger = getLogger(__name__)

_FINGERPRINT, _COMPLETE = ".fingerprint.json", ".complete"
BEST_ANSWERS = "best_predictions_so_far.jsonl"
"""Beside the journal: what the best program so far answered to the valset."""
Kind = Literal["baseline", "minibatch", "full_eval", "raced"]


class Prompt(BaseModel):
    """What a candidate puts into one predictor's prompt; demos as texts by field."""

    model_config = ConfigDict(frozen=True)

    instructions: str
    demos: list[dict[str, str]]

    @classmethod
    def of(cls, predictor: dspy.Predict) -> "Prompt":
        """The predictor's."""
        demos = [{k: str(v) for k, v in demo.items()} for demo in predictor.demos]
        return cls(instructions=predictor.signature.instructions, demos=demos)


class Trial(BaseModel):
    """One candidate scored once.

    Args:
        trial: Counts evaluations from 1, which is the baseline.
        kind: `minibatch` is scored on part of the examples; `raced`, too, and then it
            was given up; the others are scored on the whole valset.
        instruction: Number of each predictor's instructions; 0 is the student's own.
        demo_set: Number of each predictor's demo set.
        score: Mean over the n examples, in [0, 1], rounded to 4 places as DSPy does;
            while racing, of part of them: the estimate for all of them.
        n: Examples scored.
        n_failed: Of these, unusable outputs; they count as 0.0.
        best: Highest score of a whole valset so far, in [0, 1].
        calls_paid: LM calls of this trial that were paid for, over all restarts.
        calls_cached: LM calls of this trial that the response cache answered.
        seconds: Wall time of the run that scored it first; while racing, after the end
            of the trial before.
        reason: Why a raced candidate was given up; "" for the others.
        prompts: The candidate's, one of each predictor; [] if an earlier trial has
            them, or in journals of before they were recorded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: int
    kind: Kind
    instruction: list[int]
    demo_set: list[int]
    score: float
    n: int
    n_failed: int
    best: float
    calls_paid: int
    calls_cached: int
    seconds: float
    reason: str = ""
    prompts: list[Prompt] = []

    def same_as(self, other: "Trial") -> bool:
        """Whether both have the same result; calls and seconds may differ."""
        effort = {"calls_paid", "calls_cached", "seconds", "prompts"}
        return self.model_dump(exclude=effort) == other.model_dump(exclude=effort)


class Journal:
    """A JSONL file of trials that a resumed run continues.

    A resumed run replays the trials from cached answers; those that stand in the
    file already are compared and left as they are, so that nothing is written twice
    and a run killed during its replay has lost nothing.

    Args:
        path: The file; its folder is made when missing.
        fingerprint: What the run depends on.
        resume: Keep what the file holds; otherwise it starts empty.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint, *, resume: bool) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.trials: list[Trial] = []
        self._earlier = read_journal(path) if resume else []
        self.n_earlier = len(self._earlier)
        write_whole(path, _lines(self._earlier))

    @property
    def best_earlier(self) -> float:
        """Highest score of a whole valset in the run that is resumed; -1.0: none."""
        return max((trial.best for trial in self._earlier), default=-1.0)

    def add(self, trial: Trial) -> Trial:
        """Records a trial; returns the earlier run's record if it is the same trial."""
        earlier = next(iter(self._earlier[len(self.trials) :]), None)
        if earlier is not None and earlier.same_as(trial):
            trial = earlier
        else:
            if earlier is not None:
                self._earlier = []
                write_whole(self.path, _lines(self.trials))
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_lines([trial]))
                file.flush()
                os.fsync(file.fileno())
        self.trials.append(trial)
        return trial

    def complete(self) -> None:
        """Marks the run as completed."""
        self.path.with_suffix(_COMPLETE).touch()


@contextmanager
def sole_run(path: Path) -> Iterator[None]:
    """Locks the journal: no other process can run this optimization in the block.

    Two that write it at once would leave each trial twice. The operating system lifts
    the lock when a process dies; where there are no such locks nothing is checked.

    Raises:
        PoOptimizerError: Another one does.
    """
    with ExitStack() as stack:
        with suppress(OSError):  # a folder that cannot be made is the journal's to say
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open_private(path.with_suffix(".lock")))
            if sys.platform != "win32":
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise PoOptimizerError(
                        f"the run in {path} is being made by another process. Wait "
                        "for its end, or give this one a folder of its own (another "
                        "--env, or a sweep)."
                    ) from error
        yield


def read_journal(path: Path) -> list[Trial]:
    """Reads the trials of a journal, up to the first damaged line.

    The last may have been cut short by a kill. What follows one that is damaged is
    replayed from kept answers, like that one.
    """
    if not path.exists():
        return []
    trials: list[Trial] = []
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            trials.append(Trial.model_validate_json(line))
        except ValidationError:
            if number < len(lines):
                words = "%s: line %d is no trial; it and what follows is replayed"
                logger.warning(words, path, number)
            break
    return trials


def _lines(trials: list[Trial]) -> str:
    return "".join(
        trial.model_dump_json(exclude_defaults=True) + "\n" for trial in trials
    )


def open_journal(path: Path, fingerprint: Fingerprint, on_change: str) -> Journal:
    """Opens the journal: continued if nothing has changed, else a new one.

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
    changed, complete = changes_since(path, fingerprint), path.with_suffix(_COMPLETE)
    if changed and on_change == "stop" and not complete.exists():
        raise PoOptimizerError(
            f"the run in {path} cannot be resumed: changed since are "
            f"{listed(changed)}. Undo the change, or start anew with "
            "--params optimize.on_change=restart (LM answers are kept)."
        )
    if changed:
        complete.unlink(missing_ok=True)
        logger.info("a new optimization: %s", listed(changed))
    journal = Journal(path, fingerprint, resume=changed == [])
    text = json.dumps(fingerprint, indent=1, ensure_ascii=False)
    write_whole(path.with_suffix(_FINGERPRINT), text)
    return journal


def changes_since(path: Path, fingerprint: Fingerprint) -> list[str] | None:
    """What differs from the run in the journal; None: there is no run."""
    file = path.with_suffix(_FINGERPRINT)
    if not file.exists():
        return None
    try:
        stored = json.loads(file.read_bytes())
    except ValueError:  # in another encoding, or cut: it names no run
        stored = None
    return changes(stored if isinstance(stored, dict) else {}, fingerprint)
