"""Keeps DSPy's and its optimizers' chatter off the terminal."""

import builtins
import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest.mock import patch

import dspy
import dspy.evaluate.evaluate as evaluate_module
from dspy.utils.parallelizer import ParallelExecutor

from po_optimizer.lms.visible import visible
from po_optimizer.patching import ProcessWide, no_bars, whole_copies
from po_optimizer.roles.metric import ordinary_errors

_LOGGERS = ("dspy", "optuna", "LiteLLM", "gepa")
_PRINTING = (
    "dspy.predict.best_of_n",
    "dspy.predict.refine",
    "dspy.teleprompt.utils",
    "dspy.teleprompt.bootstrap",
    "dspy.teleprompt.random_search",
    "dspy.propose.grounded_proposer",
    "dspy.propose.dataset_summary_generator",
    "dspy.propose.utils",
)
_log = logging.getLogger("dspy.printed")
_failures = logging.getLogger(__name__)
_SHOWN = 200  # characters of an error and of the example


class PatientExecutor(ParallelExecutor):
    """DSPy's pool without a progress bar and without its second submission.

    The pool submits an evaluation's last tasks again after 120 seconds: a slow LM
    would be paid twice.

    Attributes:
        warned: Kinds of failures that an optimization has warned of.
    """

    warned: ClassVar[set[str]] = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(
            *args, **{**kwargs, "disable_progress_bar": True, "timeout": 0}
        )

    def _wrap_function(self, user_function: Any) -> Any:
        run = super()._wrap_function(user_function)

        def run_and_name(example: Any) -> Any:
            outcome = run(example)
            if isinstance(outcome, Exception) and isinstance(example, dspy.Example):
                self._name_failure(example, outcome)
            return outcome

        return run_and_name

    def _name_failure(self, example: Any, error: Exception) -> None:
        """Warns of the first failure of a kind in an optimization."""
        kind = type(error).__name__
        level = logging.DEBUG if kind in self.warned else logging.WARNING
        self.warned.add(kind)
        text = visible(" ".join(str(error).split("\n\nLM Response:")[0].split()))
        inputs = str(dict(example.inputs().items()))[:_SHOWN]
        _failures.log(
            level, "failed, scored 0.0: %s: %s on %s", kind, text[:_SHOWN], inputs
        )


@contextmanager
def _patched() -> Iterator[None]:
    PatientExecutor.warned.clear()
    with ExitStack() as stack:
        for name in _LOGGERS:
            stack.enter_context(_to_files_only(logging.getLogger(name)))
        for name in _PRINTING:
            module = importlib.import_module(name)
            stack.enter_context(patch.object(module, "print", _logged, create=True))
        stack.enter_context(no_bars())
        stack.enter_context(whole_copies())
        stack.enter_context(
            patch.object(evaluate_module, "ParallelExecutor", PatientExecutor)
        )
        call = ordinary_errors()(dspy.Module.__call__)
        stack.enter_context(patch.object(dspy.Module, "__call__", call))
        stack.enter_context(warnings.catch_warnings())
        # what somebody has a filter for stays heard: deprecations, in the tests
        warnings.simplefilter("ignore", append=True)
        yield


quiet_dspy = ProcessWide(_patched)
"""Within the block nothing of DSPy reaches stdout or stderr.

Loggers write to the files that the project's logging is configured with, and nowhere
else; prints become DEBUG lines of the logger `dspy.printed`; tqdm bars are made
disabled.
"""


@contextmanager
def _to_files_only(logger: logging.Logger) -> Iterator[None]:
    earlier = (logger.handlers, logger.propagate, logger.level)
    configured = [logging.getLogger(), logging.getLogger("po_optimizer"), logger]
    files = {
        id(handler): handler
        for source in configured
        for handler in source.handlers
        if isinstance(handler, logging.FileHandler)
    }
    logger.handlers = [*files.values()] or [logging.NullHandler()]
    logger.propagate = False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = earlier[:2]
        logger.setLevel(earlier[2])


def _logged(*values: object, sep: str = " ", **kwargs: Any) -> None:
    if kwargs.get("file") in (None, sys.stdout, sys.stderr):
        _log.debug(sep.join(str(value) for value in values))
    else:
        builtins.print(*values, sep=sep, **kwargs)  # noqa: T201 -- to its own file
