"""Builds a role's program and metric, from import paths or given objects.

The parameters name them as package.module.Name or package.module:Name, so another
role is added beside `product_owner` without a change elsewhere.
"""

import asyncio
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import dspy
import yaml
from pydantic import BaseModel

from po_optimizer.errors import PoOptimizerError, SettingError
from po_optimizer.params.project import RoleParams
from po_optimizer.patching import whole_copies
from po_optimizer.roles.metric import (
    Metric,
    call_metric,
    metric_problem,
    metric_signature,
)

IMPORTABLE = (
    "Give the dotted path of something that Python can import, as package.module.Name; "
    "of roles/faq/role.py it is faq.role.Name."
)


def import_object(setting: str, path: str) -> Any:
    """What `package.module.name` or `package.module:name` in the parameters names.

    Raises:
        SettingError: The module or the name in it is not there.
    """
    before, colon, name = path.partition(":")
    module_name, _, last = (before, "", name) if colon else path.rpartition(".")
    if not module_name:
        problem = "it has no module before the name"
        raise SettingError(setting, path, problem, IMPORTABLE)
    try:
        target: Any = importlib.import_module(module_name)
    except Exception as error:
        problem = f"import failed: {type(error).__name__}: {error}"
        raise SettingError(setting, path, problem, IMPORTABLE) from error
    for part in (name or last).split("."):
        if not hasattr(target, part):
            problem = f"module {module_name} has no {name or last}"
            raise SettingError(setting, path, problem, IMPORTABLE)
        target = getattr(target, part)
    return target


def make_program(role: RoleParams, lm: Any = None) -> dspy.Module:
    """A fresh baseline program of the role.

    `role.program` names a dspy.Module class, a function that makes a program, or a
    program of its module, which is copied.

    Args:
        role: Where the program is, and the arguments it is made with.
        lm: Set as `dspy.settings.lm` while the program is made; None: unchanged.

    Raises:
        SettingError: `role.program` names none of the three, or cannot be made with
            `role.program_args`.
    """
    target = import_object("role.program", role.program)
    with dspy.context(lm=lm or dspy.settings.lm):
        program = _make(target, role)
    if not isinstance(program, dspy.Module):
        problem = f"it gave {type(program).__name__}, not a dspy.Module"
        raise SettingError("role.program", role.program, problem, IMPORTABLE)
    return _with_forward(program, "role.program", role.program)


def _make(target: Any, role: RoleParams) -> Any:
    path, args = role.program, role.program_args
    if isinstance(target, dspy.Module):
        if args:
            raise _refused(
                "program", role, args, "it is a program already and takes no arguments"
            )
        with whole_copies():
            return target.deepcopy()
    other_class = isinstance(target, type) and not issubclass(target, dspy.Module)
    if other_class or not callable(target):
        problem = "not a dspy.Module class, a function that makes one, or one itself"
        raise SettingError("role.program", path, problem, IMPORTABLE)
    # DSPy's metaclass hides what a class takes
    is_class = isinstance(target, type)
    call = inspect.getattr_static(target, "__init__") if is_class else target
    try:
        inspect.signature(call).bind(*[None] * is_class, **args)
    except (TypeError, ValueError) as error:
        raise _refused("program", role, args, str(error)) from error
    remedy = "Correct the program, or role.program_args in the role's file."
    return _called(target, args, "role.program", path, remedy)


def _called(
    make: Callable[..., Any],
    args: Mapping[str, Any],
    setting: str,
    value: str,
    remedy: str,
) -> Any:
    try:
        return make(**args)
    except PoOptimizerError:
        raise
    except Exception as error:
        problem = f"making it raised {type(error).__name__}: {error}"
        raise SettingError(setting, value, problem, remedy) from error


def _refused(
    part: str, role: RoleParams, args: Mapping[str, Any], problem: str
) -> SettingError:
    return SettingError(
        f"role.{part}_args",
        dict(args),
        f"{getattr(role, part)} refuses them ({problem})",
        f"Correct role.{part}_args in the role's file.",
    )


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
        remedy = "Give an instance of it."
        program = _called(program, {}, name, program.__name__, remedy)
    value = type(program).__name__
    if not isinstance(program, dspy.Module):
        remedy = "Give an instance of such a class, or a predictor."
        raise SettingError(name, value, "it is no dspy.Module", remedy)
    with whole_copies():
        ready = _with_forward(program.deepcopy(), name, value)
    ready._compiled = False  # DSPy's optimizers refuse what one of them gave
    return ready


def _with_forward(program: dspy.Module, setting: str, value: str) -> dspy.Module:
    """The program as optimizers can call it."""
    # looked at statically: DSPy warns of a forward that is touched
    if inspect.getattr_static(program, "forward", None) is not None:
        return program
    if inspect.getattr_static(program, "aforward", None) is not None:
        return Synchronous(program)
    remedy = "Write a forward that makes a prediction of the inputs."
    raise SettingError(setting, value, "it has no forward to call", remedy)


class Synchronous(dspy.Module):
    """A program that has only `aforward`, for optimizers, which call `forward`.

    Args:
        program: The program itself; its predictors are this one's.
    """

    def __init__(self, program: dspy.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, **inputs: Any) -> Any:
        """The program's result, awaited in a thread: a notebook has a running loop."""

        def wait() -> Any:
            return asyncio.run(self.program.acall(**inputs))

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(copy_context().run, wait).result()


def load_metric(role: RoleParams) -> Metric:
    """The role's metric with `role.metric_args` bound; a class is made.

    Raises:
        SettingError: DSPy's optimizers could not call what `role.metric` names, or it
            does not take `role.metric_args`.
    """
    path, args = role.metric, role.metric_args
    metric = import_object("role.metric", path)
    try:
        bound = _bound(metric, args)
    except (TypeError, ValueError) as error:
        raise _refused("metric", role, args, str(error)) from error
    if problem := metric_problem(bound):
        raise SettingError("role.metric", path, problem, IMPORTABLE)
    if role.metric_reads == "values":
        return bound  # type: ignore[no-any-return]
    return _named(functools.partial(metric_of_texts, bound), bound)


def _bound(metric: Any, args: Mapping[str, Any]) -> Any:
    if isinstance(metric, type):
        return metric(**args)
    if not args or not callable(metric):
        return metric
    signature = metric_signature(metric)
    if signature is not None:
        signature.bind_partial(**args)
    return _named(functools.partial(metric, **args), metric)


def _named(partial: functools.partial[Any], metric: Metric) -> Metric:
    """The partial under the metric's name, which reports show."""
    partial.__name__ = getattr(metric, "__name__", type(metric).__name__)  # type: ignore[attr-defined]
    return partial


def metric_of_texts(
    metric: Metric, example: dspy.Example, prediction: Any, *optional: Any
) -> Any:
    """What a metric says that takes documents as YAML texts, not as typed values.

    Args:
        metric: Called with as much as it takes.
        example: Its models become texts.
        prediction: Likewise.
        optional: What DSPy adds.
    """
    return call_metric(metric, _with_texts(example), _with_texts(prediction), *optional)


def _with_texts(values: Any) -> Any:
    if not isinstance(values, dspy.Example):
        return values
    texts = values.copy()
    for name, value in values.items():
        if isinstance(value, BaseModel):
            document = value.model_dump(mode="json")
            texts[name] = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return texts


def check_metric(metric: Any) -> Metric:
    """The metric, if DSPy's optimizers can call it.

    Raises:
        SettingError: They cannot.
    """
    if problem := metric_problem(metric):
        raise SettingError(
            "metric",
            getattr(metric, "__name__", type(metric).__name__),
            problem,
            "Give a function (example, prediction, trace=None) -> number in [0, 1].",
        )
    return metric  # type: ignore[no-any-return]


def name_of(metric: Metric) -> str:
    """A metric as reports name it."""
    return str(getattr(metric, "__qualname__", type(metric).__qualname__))
