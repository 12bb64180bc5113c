"""What ends an optimization from inside DSPy, beside the LM's own stops."""

from po_optimizer.errors import MetricError, PoOptimizerError
from po_optimizer.lms.stop import StopRun


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
