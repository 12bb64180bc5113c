"""Requests to a running optimization, in a file of its workspace: pause, stop."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from po_optimizer.lms.stops import Interrupted, stop_requested
from po_optimizer.optimization.budget import Budget
from po_optimizer.params.optimize import BudgetParams

FILE = "steering.json"
_STEP_SECONDS = 0.2


class SteeringRequest(BaseModel):
    """A request.

    Args:
        pause: No paid call begins until this is false again; wall time goes on.
        stop: End in order, with the best program so far.
        budget: Bounds that replace the run's own; those that are not named stay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pause: bool = False
    stop: bool = False
    budget: BudgetParams | None = None


def read_request(workspace: Path) -> SteeringRequest:
    """The request in the file; an empty one if the file holds none."""
    try:
        values: Any = json.loads((workspace / FILE).read_bytes())
        return SteeringRequest.model_validate(values)
    except (OSError, ValueError, ValidationError):
        return SteeringRequest()


def follow_requests(
    workspace: Path, budget: Budget, check_stopped: Callable[[], None]
) -> None:
    """Lets a paid call pass, at once or after a pause; one of `Meter.guards`.

    Args:
        workspace: Where the file lies.
        budget: Takes new bounds.
        check_stopped: Raises once the run was stopped otherwise.

    Raises:
        Interrupted: The run is to end.
    """
    while (workspace / FILE).exists():
        request = read_request(workspace)
        if request.stop:
            raise Interrupted("stopped from the page")
        if request.budget is not None:
            bounds = request.budget.model_dump(exclude_unset=True)
            budget.params = budget.params.model_copy(update=bounds)
        if not request.pause or stop_requested.is_set():
            return
        check_stopped()
        time.sleep(_STEP_SECONDS)
