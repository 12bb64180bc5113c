"""What all models of parameters, and of results, have in common."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from po_optimizer.errors import PoOptimizerError, field_problems, listed, nearest

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


Count = Annotated[int, Field(ge=0)]


class Frozen(BaseModel):
    """Base of all models: read-only."""

    model_config = ConfigDict(frozen=True)


class Result(Frozen):
    """Base of results that are stored: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Params(Result):
    """Base of all parameter models: an unknown key is refused, with a suggestion."""

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, values: Any) -> Any:
        """Refuses unknown keys as pydantic would, and suggests a key that exists."""
        names = list(cls.model_fields)
        if isinstance(values, cls):
            return values
        if not isinstance(values, Mapping):
            text = "it is a group of parameters ({names}), not one value"
            raise PydanticCustomError("group", text, {"names": listed(names)})
        details = [
            InitErrorDetails(type=_unknown_key(str(key), names), loc=(key,), input=None)
            for key in values
            if key not in names
        ]
        if details:
            raise ValidationError.from_exception_data(cls.__name__, details)
        return values


def _unknown_key(key: str, names: list[str]) -> PydanticCustomError:
    hint = nearest(key, names) or f" (known: {listed(names)})"
    return PydanticCustomError("unknown_key", "not known{hint}", {"hint": hint})


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: Mapping[str, Any], group: str = "") -> Model:
    """The values as their model.

    Args:
        model: What they must fit.
        values: From conf/ and `--params`, merged.
        group: Parameter that holds them; "": they are all parameters.

    Raises:
        PoOptimizerError: A key is unknown or a value cannot be used.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        start = f"{group}." if group else ""
        problems = "; ".join(start + problem for problem in field_problems(error))
        msg = (
            f"the parameters cannot be used: {problems}. Correct it in conf/ or in "
            "--params."
        )
        raise PoOptimizerError(msg) from error
