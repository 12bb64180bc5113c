"""A role by import path: the program class and the metric.

The parameters name them as package.module.Name or package.module:Name, so another
role is added beside `product_owner` without a change elsewhere.
"""

import asyncio
import functools
import importlib
import inspect
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import ModuleType
from typing import Any

import dspy
import yaml
from pydantic import BaseModel

from po_optimizer.errors import PoOptimizerError, SettingError
from po_optimizer.params import RoleParams
from po_optimizer.roles.metric import (
    Metric,
    call_metric,
    metric_problem,
    metric_signature,
)

IMPORTABLE = (
    "Give the dotted path of something that Python can import, as package.module.Name."
)


def import_object(setting: str, path: str) -> Any:
    """What `package.module.name` or `package.module:name` in the parameters names.

    Raises:
        SettingError: The module or the name in it is not there.
    """
    before, colon, name = path.partition(":")
    module_name, _, last = (before, "", name) if colon else path.rpartition(".")
    if not module_name:
        raise SettingError(
            setting, path, "it has no module before the name", IMPORTABLE
        )
    target: Any = _import_module(setting, path, module_name)
    for part in (name or last).split("."):
        if not hasattr(target, part):
            problem = f"module {module_name} has no {name or last}"
            raise SettingError(setting, path, problem, IMPORTABLE)
        target = getattr(target, part)
    return target


def _import_module(setting: str, path: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        problem = f"import failed: {type(error).__name__}: {error}"
        raise SettingError(setting, path, problem, IMPORTABLE) from error


def make_program(role: RoleParams, lm: Any = None) -> dspy.Module:
    """A fresh baseline program of the role.

    `role.program` names a dspy.Module class, a function that makes a program, or a
    program of its module, which is copied.

    Args:
        role: Where the program is, and the arguments it is made with.
        lm: Stands in `dspy.settings.lm` while the program is made, for those that look
            there; None: whatever stands there.

    Raises:
        SettingError: `role.program` names none of the three.
        SettingError: It cannot be made with `role.program_args`.
    """
    path = role.program
    with dspy.context(lm=lm or dspy.settings.lm):
        program = _make(import_object("role.program", path), role)
    if not isinstance(program, dspy.Module):
        problem = f"it gave {type(program).__name__}, not a dspy.Module"
        raise SettingError("role.program", path, problem, IMPORTABLE)
    ready = with_forward(program)
    if ready is None:
        raise SettingError(
            "role.program", path, "it has no forward to call", IMPORTABLE
        )
    return ready


def with_forward(program: dspy.Module) -> dspy.Module | None:
    """The program as optimizers can call it; None: it has no way to be called."""
    # looked at statically: DSPy warns of a forward that is touched
    if inspect.getattr_static(program, "forward", None) is not None:
        return program
    if inspect.getattr_static(program, "aforward", None) is not None:
        return Synchronous(program)
    return None


def _make(target: Any, role: RoleParams) -> Any:
    path, args = role.program, role.program_args
    if isinstance(target, dspy.Module):
        if args:
            raise _refused(role, "it is a program already and takes no arguments")
        return target.deepcopy()
    other_class = isinstance(target, type) and not issubclass(target, dspy.Module)
    if other_class or not callable(target):
        problem = "not a dspy.Module class, a function that makes one, or one itself"
        raise SettingError("role.program", path, problem, IMPORTABLE)
    try:
        _signature(target).bind(**args)
    except (TypeError, ValueError) as error:
        raise _refused(role, str(error)) from error
    try:
        return target(**args)
    except PoOptimizerError:
        raise
    except Exception as error:
        problem = f"making it raised {type(error).__name__}: {error}"
        remedy = "Correct the program, or role.program_args in the role's file."
        raise SettingError("role.program", path, problem, remedy) from error


def _signature(target: Callable[..., Any]) -> inspect.Signature:
    """What a class or function takes; DSPy's metaclass hides it of a class."""
    if not isinstance(target, type):
        return inspect.signature(target)
    make = inspect.getattr_static(target, "__init__")
    return inspect.signature(functools.partial(make, None))


def _refused(role: RoleParams, problem: str) -> SettingError:
    return SettingError(
        "role.program_args",
        dict(role.program_args),
        f"{role.program} refuses them ({problem})",
        "Correct role.program_args in the role's file.",
    )


class Synchronous(dspy.Module):
    """A program that has only `aforward`, for optimizers, which call `forward`.

    Args:
        program: The program itself; its predictors are this one's.
    """

    def __init__(self, program: dspy.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, **inputs: Any) -> Any:
        """What the program gives, once it is there.

        A thread of its own waits for it where a loop runs, as in a notebook.
        """
        with ThreadPoolExecutor(1) as pool:
            call = functools.partial(self.program.acall, **inputs)
            waiting = pool.submit(copy_context().run, _await, call)
            return waiting.result()


def _await(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(call())


def load_metric(role: RoleParams) -> Metric:
    """The role's metric with `role.metric_args` bound.

    Raises:
        SettingError: `role.metric` cannot be called.
    """
    metric = bind_metric(role.metric, role.metric_args)
    if role.metric_reads == "values":
        return metric
    reading = functools.partial(metric_of_texts, metric)
    reading.__name__ = getattr(metric, "__name__", type(metric).__name__)  # type: ignore[attr-defined]
    return reading


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
    models = {
        name: yaml.safe_dump(
            value.model_dump(mode="json"), sort_keys=False, allow_unicode=True
        )
        for name, value in values.items()
        if isinstance(value, BaseModel)
    }
    texts = values.copy()
    for name, text in models.items():
        texts[name] = text
    return texts


def bind_metric(path: str, args: Mapping[str, Any]) -> Metric:
    """A metric by import path with its keyword arguments bound; a class is made.

    Raises:
        SettingError: DSPy's optimizers could not call what the path names.
        SettingError: It does not take `role.metric_args`.
    """
    metric = import_object("role.metric", path)
    try:
        bound: Metric = _bound(metric, args)
    except (TypeError, ValueError) as error:
        raise SettingError(
            "role.metric_args",
            dict(args),
            f"{path} refuses them ({error})",
            "Correct role.metric_args in the role's file.",
        ) from error
    problem = metric_problem(bound)
    if problem:
        raise SettingError("role.metric", path, problem, IMPORTABLE)
    return bound


def _bound(metric: Any, args: Mapping[str, Any]) -> Any:
    if isinstance(metric, type):
        return metric(**args)
    if not args or not callable(metric):
        return metric
    signature = metric_signature(metric)
    if signature is not None:
        signature.bind_partial(**args)
    bound = functools.partial(metric, **args)
    bound.__name__ = getattr(metric, "__name__", type(metric).__name__)  # type: ignore[attr-defined]
    return bound
