"""DSPy's evaluation, for the ways of ours to run one."""

from abc import ABC, abstractmethod
from typing import Any

import dspy
from dspy.evaluate.evaluate import EvaluationResult
from dspy.utils.callback import with_callbacks

_plain: Any = dspy.Evaluate.__call__.__wrapped__  # without callbacks


class Evaluation(dspy.Evaluate, ABC):
    """An evaluation in the place of DSPy's, which callbacks hear as one.

    Args:
        plain: DSPy's, with its examples, metric and threads.
    """

    def __init__(self, plain: dspy.Evaluate) -> None:
        self.__dict__.update(vars(plain))

    @with_callbacks  # type: ignore[untyped-decorator] # it keeps the signature
    def __call__(
        self,
        program: dspy.Module,
        metric: Any = None,
        devset: list[dspy.Example] | None = None,
        **more: Any,
    ) -> EvaluationResult:
        """As DSPy's: metric and examples are its own where none are given."""
        examples = self.devset if devset is None else devset
        return self.evaluate(program, metric or self.metric, examples, **more)

    @abstractmethod
    def evaluate(
        self,
        program: dspy.Module,
        metric: Any,
        examples: list[dspy.Example],
        **more: Any,
    ) -> EvaluationResult:
        """The score, in percent, and the rows of the examples that were evaluated."""

    def plain(
        self, program: Any, metric: Any, examples: list[dspy.Example], **more: Any
    ) -> EvaluationResult:
        """What DSPy's own evaluation gives."""
        return _plain(self, program, metric, examples, **more)
