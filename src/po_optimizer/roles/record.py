"""What a record is: a class of the role's own, or the columns of a table."""

import functools
import inspect
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import dspy
from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from po_optimizer.errors import SettingError
from po_optimizer.params.project import RoleParams
from po_optimizer.roles.build import (
    IMPORTABLE,
    Synchronous,
    import_object,
    make_program,
)

_NUMBERS = [kind for number in (int, float, bool) for kind in (number, number | None)]


@dataclass(frozen=True)
class Identity:
    """What identifies a record when the records are split.

    Args:
        texts: Compared text by text, whatever their order; records that are nearly
            alike are duplicates.
        group: Records of one group (a customer, a document) share more than words:
            they come into one split. None: the record stands alone.
    """

    texts: Sequence[str] = ()
    group: str | None = None

    @classmethod
    def of(cls, record: Any) -> "Identity":
        """A record's `identity()`; without one, the texts of its inputs."""
        if not hasattr(record, "identity"):
            inputs = record.to_example().inputs()
            return cls(tuple(_text(value) for value in inputs.values()))
        identity = record.identity()
        if isinstance(identity, Identity):
            return identity
        return cls((identity,) if isinstance(identity, str) else tuple(identity))


class Record(Protocol):
    """A checked record; `stratum()` and `identity()` may be there, too.

    `stratum()` gives what the splits are balanced over, such as `(tier, language)`;
    `identity()` what duplicates are recognized by: a text, several, or an `Identity`.
    """

    def to_example(self) -> dspy.Example:
        """The record as an example with its inputs marked."""
        ...


class RecordType(Protocol):
    """What makes a record of a raw one: a pydantic model class, or `Columns`."""

    __name__: str

    def model_validate(self, obj: Any) -> Record:
        """A checked record.

        Raises:
            pydantic.ValidationError: It cannot be used.
        """
        ...


@dataclass(frozen=True)
class ColumnRecord:
    """A row of a table as a record."""

    values: Mapping[str, Any]
    columns: "Columns"

    def to_example(self) -> dspy.Example:
        """The row with the columns that are inputs marked."""
        inputs = [name for name in self.columns.inputs if name in self.values]
        return dspy.Example(dict(self.values)).with_inputs(*inputs)

    def stratum(self) -> tuple[str, ...]:
        """The values of the columns that the splits are balanced over."""
        return tuple(_text(self.values.get(name)) for name in self.columns.stratum)

    def identity(self) -> Identity:
        """The texts of the inputs, and the value of the column that groups."""
        inputs = (self.values.get(name) for name in self.columns.inputs)
        group = self.columns.group
        return Identity(
            tuple(_text(value) for value in inputs if value is not None),
            None if group is None else _text(self.values.get(group)),
        )


@dataclass(frozen=True)
class Columns:
    """Makes records of rows whose columns have the names of the program's fields.

    Args:
        inputs: Columns that the program is given.
        required: Columns without which a row cannot be used.
        stratum: Columns that the splits are balanced over.
        group: Column whose equal values come into one split; None: there is none.
        role: As JSON; its program says which cells of a table of texts are numbers.
    """

    inputs: tuple[str, ...]
    required: tuple[str, ...]
    stratum: tuple[str, ...] = ()
    group: str | None = None
    role: str = ""
    __name__ = "Columns"

    def model_validate(self, obj: Any) -> ColumnRecord:
        """The row as a record.

        Raises:
            pydantic.ValidationError: It is no row, or lacks a required column.
        """
        if not isinstance(obj, Mapping):
            raise _refused({(): f"a row with columns is wanted, got {obj!r:.40}"})
        missing = [name for name in self.required if obj.get(name) is None]
        if missing:
            columns = ", ".join(map(str, obj)) or "none"
            reason = f"there is no value (columns: {columns})"
            raise _refused({(name,): reason for name in missing})
        values = dict(obj)
        if self.role and all(isinstance(value, str) for value in values.values()):
            values |= _numbers_in(values, _number_fields(self.role))
        return ColumnRecord(values, self)


@functools.cache
def _number_fields(role: str) -> Mapping[str, Any]:
    """Fields of the program's signatures that are numbers or bools, with annotations.

    {} if the program cannot be made without the run's LM.
    """
    try:
        program = make_program(RoleParams.model_validate_json(role))
    except SettingError:
        return {}
    annotations: dict[str, list[Any]] = {}
    for predictor in program.predictors():
        for name, field in predictor.signature.fields.items():
            annotations.setdefault(name, []).append(field.annotation)
    return {
        name: kinds[0]
        for name, kinds in annotations.items()
        if kinds[0] in _NUMBERS and all(kind == kinds[0] for kind in kinds)
    }


def _numbers_in(values: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that stand as texts, as in a CSV file; what is none stays a text."""
    numbers = {}
    for name in fields.keys() & values.keys():
        with suppress(ValueError):
            numbers[name] = TypeAdapter(fields[name]).validate_python(values[name])
    return numbers


def _refused(problems: Mapping[tuple[str, ...], str]) -> ValidationError:
    details = [
        InitErrorDetails(
            type=PydanticCustomError("row", "{why}", {"why": why}), loc=loc, input=None
        )
        for loc, why in problems.items()
    ]
    return ValidationError.from_exception_data("row", details)


def load_record_type(role: RoleParams) -> RecordType:
    """What checks one raw record and makes an example of it.

    Without `role.record`, the columns of a table: `role.inputs` and `role.outputs`, or
    the fields that the program takes and whatever else the table has.

    Raises:
        SettingError: `role.record` lacks a method, or the inputs are unknown.
    """
    if not role.record:
        inputs = input_columns(role)
        required = [name for name, is_required in inputs.items() if is_required]
        needed = (*required, *role.outputs)
        return Columns(
            tuple(inputs),
            needed,
            tuple(role.stratum),
            role.group,
            role.model_dump_json(include={"program", "program_args"}),
        )
    cls = import_object("role.record", role.record)
    missing = [n for n in ("model_validate", "to_example") if not hasattr(cls, n)]
    if missing:
        problem = f"it lacks {', '.join(missing)}"
        raise SettingError("role.record", role.record, problem, IMPORTABLE)
    return cast(RecordType, cls)


def stratum_of(record: Record) -> tuple[str, ...]:
    """What the splits are balanced over; () for a record that does not say."""
    stratum: tuple[str, ...] = getattr(record, "stratum", tuple)()
    return stratum


def input_columns(role: RoleParams) -> dict[str, bool]:
    """The columns that the role's program takes, and whether it requires each.

    Raises:
        SettingError: Neither `role.inputs` nor the program names them.
    """
    if role.inputs:
        return dict.fromkeys(role.inputs, True)
    program = import_object("role.program", role.program)
    if not isinstance(program, type | dspy.Module):
        program = make_program(role)
    if parameters := _forward_parameters(program):
        return {p.name: p.default is p.empty for p in parameters}
    fields = input_names(make_program(role) if isinstance(program, type) else program)
    if not fields:
        problem = f"the inputs of {role.program} stand in no signature"
        remedy = "Name the columns that it takes, as in role.inputs=[question]."
        raise SettingError("role.inputs", role.inputs, problem, remedy)
    return dict.fromkeys(fields, True)


def input_names(program: dspy.Module) -> list[str]:
    """What a program is called with: its forward's arguments, or a signature's inputs.

    [] if neither says: a forward that takes anything, in front of several predictors.
    """
    if isinstance(program, Synchronous):
        program = program.program
    names = [parameter.name for parameter in _forward_parameters(program)]
    signatures: list[Any] = [getattr(program, "signature", None)]
    predictors = program.predictors()
    signatures += [predictors[0].signature] if len(predictors) == 1 else []
    inputs = (s.input_fields for s in signatures if hasattr(s, "input_fields"))
    return names or list(next(inputs, ()))


def _forward_parameters(program: Any) -> list[inspect.Parameter]:
    """The named parameters of a program's, or its class's, forward."""
    # looked at statically: DSPy warns of a forward that is touched
    methods = (
        inspect.getattr_static(program, name, None) for name in ("forward", "aforward")
    )
    forward = next(filter(callable, methods), None)
    parameters = inspect.signature(forward).parameters.values() if forward else ()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in parameters if p.kind in named and p.name != "self"]


def _text(value: Any) -> str:
    """A value as text that is compared: words of a text, JSON of anything else."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
