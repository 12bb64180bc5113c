"""What stops a run from inside DSPy, which swallows every ordinary exception."""

import errno
import os
import threading

from po_optimizer.errors import InterruptedRunError, PoOptimizerError, Portable

asked_to_stop = threading.Event()
"""Set from the first Ctrl-C to the end of the run: nothing new is begun or paid."""

leaving = threading.Event()
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


def _remedy(thing: str) -> str:
    """What to do; SQLite does not tell a lack of file handles from one of room."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            return "This process has too many files open: raise `ulimit -n`"
    return f"Make room, mend the permissions, or move a damaged {thing} away"
