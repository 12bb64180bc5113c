"""Why a run stops: raised inside DSPy, which swallows every ordinary exception."""

import threading
from concurrent.futures import Future, wait
from typing import TypeVar

from po_optimizer.errors import (
    InterruptedRunError,
    MetricError,
    PoOptimizerError,
)

T = TypeVar("T")

STEP_SECONDS = 1.0
"""Of a wait in the main thread: Python may lose the signal that would end a longer."""

stop_requested = threading.Event()
"""Set from the first Ctrl-C to the end of the run: nothing new is begun or paid."""

force_exit = threading.Event()
"""Set by the second Ctrl-C: LM calls in flight are not waited for any more."""


def result_of(future: Future[T]) -> T:
    """What the future gives or raises, waited for in steps."""
    while not wait([future], STEP_SECONDS).done:
        pass
    return future.result()


class StopRun(BaseException):
    """Stops a run at the next LM call; DSPy's workers do not catch a BaseException.

    Outside DSPy it is caught by class and turned into `as_error()`.
    """

    def as_error(self) -> PoOptimizerError:
        """The ordinary error that the user reads."""
        return PoOptimizerError(str(self))


def unwrapped(error: BaseException) -> BaseException:
    """The error itself, of a group the StopRun in it, else the first.

    asyncio's TaskGroup and MCP's clients raise a group of whatever their tasks raise.
    """
    parts = [unwrapped(part) for part in getattr(error, "exceptions", ())]
    stops = (part for part in parts if isinstance(part, StopRun))
    return next(stops, parts[0] if parts else error)


class Interrupted(StopRun):
    """The user stopped the run; calls in flight were finished."""

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


class WriteFailed(StopRun):
    """What was paid for or scored could not be stored.

    Args:
        store: The response cache, the ledger, the journal.
        place: Its file or folder.
        problem: What the disk said.
    """

    def __init__(self, store: str, place: str, problem: str) -> None:
        super().__init__(
            f"{store} {place} cannot be written: {problem}. Make room, mend the "
            "permissions, move what is damaged away, or raise `ulimit -n`; every "
            "answer so far is kept: the same command resumes."
        )


class BudgetReached(StopRun):
    """A bound of the budget is reached; the best program so far is kept."""

    def __init__(self, setting: str, bound: float, spent: float) -> None:
        super().__init__(
            f"optimize.budget.{setting}={bound:g} is reached ({spent:g} spent). "
            "Raise it and run the same command to continue where it stopped."
        )


class MetricBroken(StopRun):
    """The metric gave no score; DSPy would take that for a score of 0.0."""

    def as_error(self) -> PoOptimizerError:
        """The error that names the metric's setting."""
        return MetricError(str(self))


def failure_of(error: Exception) -> Exception:
    """What a program raised, as its own failure.

    Raises:
        Interrupted: The run is being stopped: a signal ends a program's subprocesses,
            too, and what fails for that is no failure of the program.
    """
    if stop_requested.is_set():
        raise Interrupted from error
    return error
