"""What a failed command says: one sentence for a user's mistake, none for a defect."""

import os
import sys
from types import TracebackType

import click
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError

from po_optimizer.errors import PoOptimizerError, causes, refusal
from po_optimizer.lms.stops import StopRun
from po_optimizer.lms.visible import visible

_PARAMETERS = {
    **{name: name for name in ("raw_records", "requirements", "existing_vision")},
    **{f"{name}_records": f"data_prep.{name}" for name in ("trainset", "valset")},
    "testset_records": "data_prep.testset",
    "prediction_inputs": "predict.inputs",
}
"""Catalog entries whose file a parameter names."""


def explain(error: BaseException) -> str | None:
    """The sentence for a failure of the user's making; None for a defect of ours.

    What Kedro refuses is told in its own words.
    """
    for cause in causes(error):
        if isinstance(cause, PoOptimizerError | StopRun):
            return str(cause)
    if isinstance(error, DatasetError):
        return _failed_dataset(error)
    if isinstance(error, OSError):
        return _refused_file(error)
    if isinstance(error, click.ClickException):
        return str(error.message)
    if isinstance(error, ParameterValidationError) or _is_of_kedro(error):
        return " ".join(str(error.args[0] if error.args else error).split())
    return None


def print_plainly(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Takes the place of `sys.excepthook`: Kedro's other commands fail plainly too."""
    sentence = None if os.environ.get("PO_TRACEBACK") else explain(error)
    if sentence is None:
        sys.__excepthook__(kind, error, trace)
    else:
        click.echo(f"Error: {visible(sentence)}", err=True)


def _is_of_kedro(error: BaseException) -> bool:
    """True for a value that Kedro itself refused, not code that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals["__name__"]) if trace else ""
    if module.startswith("kedro.framework.cli."):  # a runner's arguments, for one
        return True
    return isinstance(error, KeyError | ValueError) and module.startswith("kedro.")


def _failed_dataset(error: DatasetError) -> str | None:
    text = " ".join(str(error).split())
    refused = next((e for e in causes(error) if isinstance(e, OSError)), None)
    if refused is None and "Failed while saving" in text:
        return None  # raised by a stream while it was saved: a defect of its maker
    entry = text.partition(":")[0]
    parameter = _PARAMETERS.get(entry)
    if parameter is not None:
        text = parameter + text.removeprefix(entry)
    if refused is None or not refused.filename or "Failed while" not in text:
        return text
    missing = isinstance(refused, FileNotFoundError) or (
        isinstance(refused, IsADirectoryError) and "Failed while loading" in text
    )
    if missing and parameter:
        return (
            f"{parameter}: there is no file {refused.filename}. Correct the path: "
            f"--params {parameter}=FILE."
        )
    if missing:
        return (
            f"{entry}: there is no file {refused.filename}. Correct its path in "
            "conf/base/catalog.yml or in --params, or run the stage that makes it."
        )
    return f"{parameter or entry}: {_refused_file(refused)}"


def _refused_file(error: OSError) -> str:
    where = error.filename or "a file"
    return f"{where}: {refusal(error)}. What is done is kept: the same command resumes."
