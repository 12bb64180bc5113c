"""Why a run stops: raised inside DSPy, which swallows every ordinary exception."""

import errno
import os
import threading

from po_optimizer.errors import (
    InterruptedRunError,
    MetricError,
    PoOptimizerError,
    Portable,
)

stop_requested = threading.Event()
"""Set from the first Ctrl-C to the end of the run: nothing new is begun or paid."""

force_exit = threading.Event()
"""Set by the second Ctrl-C: nobody waits for the LM calls in flight any more."""


class StopRun(Portable):
    """Stops a run at the next LM call; DSPy's workers let a BaseException through.

    Outside DSPy it is caught by class and turned into `as_error()`.
    """

    def as_error(self) -> PoOptimizerError:
        """The ordinary error that the user reads."""
        return PoOptimizerError(str(self))


class Interrupted(StopRun):
    """Someone asked to end, mostly the user; what was in flight was finished."""

    def __init__(self, why: str = "interrupted by the user") -> None:
        super().__init__(f"{why}. Answers are kept: the same command resumes.")

    def as_error(self) -> PoOptimizerError:
        """The error with the exit code of an interruption."""
        return InterruptedRunError(str(self))


class LMUnreachable(StopRun):
    """The LM gave no answer after all retries; nothing was scored 0.0 for it."""

    def __init__(self, slug: str, where: str, problem: str) -> None:
        super().__init__(
            f"the LM {slug} at {where} gave no answer: {problem}. Every answer so far "
            "is kept: when the LM is back, the same command resumes and repeats "
            "only the calls that were in flight."
        )


class LMNotReady(StopRun):
    """The LM could not even be asked, because of a setting; the sentence says which."""

    def __init__(self, error: PoOptimizerError) -> None:
        super().__init__(str(error))
        self.error = error

    def as_error(self) -> PoOptimizerError:
        """The error of the setting."""
        return self.error


class CacheWriteFailed(StopRun):
    """An answer that was paid for could not be kept, or would not be."""

    def __init__(self, folder: str, problem: str) -> None:
        super().__init__(
            f"the response cache {folder} cannot keep the LM's answers: {problem}. "
            f"{_remedy('folder')}; the same command resumes."
        )


class LedgerWriteFailed(StopRun):
    """A call could not be recorded: budgets and costs would be wrong from here on."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"the ledger {path} cannot record LM calls: {problem}. "
            f"{_remedy('file')}; the same command resumes."
        )


class BudgetReached(StopRun):
    """A bound of the budget is reached; the best program so far is kept."""

    def __init__(self, setting: str, bound: float, spent: float) -> None:
        super().__init__(
            f"optimize.budget.{setting}={bound:g} is reached ({spent:g} spent). "
            "Raise it and run the same command to continue where it stopped."
        )


class RecordingFailed(StopRun):
    """The journal or the best program so far could not be stored."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the journal or the best program so far could not be stored: {problem}. "
            "Every LM answer so far is kept: when the cause is mended, the same "
            "command resumes."
        )


class MetricBroken(StopRun):
    """The metric gave no score; DSPy would take that for a score of 0.0."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)

    def as_error(self) -> PoOptimizerError:
        """The error that names the metric's setting."""
        return MetricError(str(self))


def _remedy(thing: str) -> str:
    """What to do; SQLite does not tell a lack of file handles from one of room."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            return "This process has too many files open: raise `ulimit -n`"
    return f"Make room, mend the permissions, or move a damaged {thing} away"
