"""A role by import path: the program class, the metric and the record type.

The parameters name them as package.module.Name, so another role is added beside
`product_owner` without a change elsewhere.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import dspy

from po_optimizer.errors import ImportPathError, SettingError
from po_optimizer.params import RoleParams

Metric = Callable[..., Any]
"""(example, prediction, trace=None) -> a number in [0, 1] or a Score."""


@runtime_checkable
class RecordType(Protocol):
    """What data_prep asks of a record class (a pydantic model does the checking)."""

    @classmethod
    def model_validate(cls, obj: Any) -> "RecordType":
        """A checked record."""
        ...

    def to_example(self) -> dspy.Example:
        """The record as an example with its inputs marked."""
        ...

    def stratum(self) -> tuple[str, ...]:
        """What the splits are balanced over, e.g. (tier, language)."""
        ...

    def identity(self) -> str:
        """The text by which duplicates are recognized."""
        ...


def import_object(setting: str, path: str) -> Any:
    """What a dotted path in the parameters names.

    Raises:
        ImportPathError: The module or the name in it is not there.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ImportPathError(setting, path, "it has no module before the name")
    try:
        return getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        raise ImportPathError(setting, path, f"import failed: {error}") from error
    except AttributeError as error:
        problem = f"module {module_name} has no {name}"
        raise ImportPathError(setting, path, problem) from error


def make_program(role: RoleParams) -> dspy.Module:
    """A fresh baseline program of the role.

    Raises:
        ImportPathError: `role.program` is not a dspy.Module class.
        SettingError: The class does not take `role.program_args`.
    """
    cls = import_object("role.program", role.program)
    if not (isinstance(cls, type) and issubclass(cls, dspy.Module)):
        raise ImportPathError("role.program", role.program, "not a dspy.Module class")
    try:
        program: dspy.Module = cls(**role.program_args)
    except TypeError as error:
        raise SettingError(
            "role.program_args",
            dict(role.program_args),
            f"{cls.__name__} refuses them ({error})",
            "Correct role.program_args in parameters_role.yml.",
        ) from error
    return program


def load_metric(role: RoleParams) -> Metric:
    """The role's metric with `role.metric_args` bound.

    Raises:
        ImportPathError: `role.metric` cannot be called.
    """
    return bind_metric(role.metric, role.metric_args)


def bind_metric(path: str, args: Mapping[str, Any]) -> Metric:
    """A metric by import path with its keyword arguments bound.

    Raises:
        ImportPathError: What the path names cannot be called.
    """
    metric = import_object("role.metric", path)
    if not callable(metric):
        raise ImportPathError("role.metric", path, "not callable")
    if not args:
        return metric  # type: ignore[no-any-return]
    bound = functools.partial(metric, **args)
    functools.update_wrapper(bound, metric)
    return bound


def load_record_type(role: RoleParams) -> type[RecordType]:
    """The class that checks one raw record and makes an example of it.

    Raises:
        ImportPathError: `role.record` lacks one of RecordType's methods.
    """
    cls = import_object("role.record", role.record)
    wanted = ("model_validate", "to_example", "stratum", "identity")
    missing = [name for name in wanted if not hasattr(cls, name)]
    if missing:
        problem = f"it lacks {', '.join(missing)}"
        raise ImportPathError("role.record", role.record, problem)
    return cls  # type: ignore[no-any-return]
