"""A program and a metric that are at hand as objects, not by import path."""

from typing import Any, cast

import dspy

from po_optimizer.errors import PoOptimizerError, SettingError
from po_optimizer.roles.build import with_forward
from po_optimizer.roles.metric import Metric, metric_problem


def check_program(name: str, program: Any) -> dspy.Module:
    """A copy that can be optimized; a class is called without arguments.

    Args:
        name: Of the argument, for errors.
        program: A program, or the class of one.

    Raises:
        SettingError: It is neither, has no forward, or its class cannot be called
            without arguments.
    """
    if isinstance(program, type) and issubclass(program, dspy.Module):
        program = _instance(name, program)
    copy = program.deepcopy() if isinstance(program, dspy.Module) else None
    ready = None if copy is None else with_forward(copy)
    if ready is None:
        raise SettingError(
            name,
            type(program).__name__,
            "it is no dspy.Module with a forward",
            "Give a program: an instance of such a class, or a predictor.",
        )
    ready._compiled = False  # DSPy's optimizers refuse what one of them gave
    return ready


def _instance(name: str, program: type[dspy.Module]) -> Any:
    try:
        return program()
    except PoOptimizerError:
        raise
    except Exception as error:
        raise SettingError(
            name,
            program.__name__,
            f"calling the class raised {type(error).__name__}: {error}",
            "Give an instance of it.",
        ) from error


def check_metric(metric: Any) -> Metric:
    """The metric, if DSPy's optimizers can call it.

    Raises:
        SettingError: They cannot.
    """
    problem = metric_problem(metric)
    if problem:
        raise SettingError(
            "metric",
            getattr(metric, "__name__", type(metric).__name__),
            problem,
            "Give a function (example, prediction, trace=None) -> number in [0, 1].",
        )
    return cast(Metric, metric)


def name_of(metric: Metric) -> str:
    """A metric as reports name it."""
    return str(getattr(metric, "__qualname__", type(metric).__qualname__))
