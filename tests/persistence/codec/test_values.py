"""Any value, annotation or class goes into a document and comes back as it was."""

import collections.abc
import dataclasses
import datetime
import math
import typing
from typing import Annotated, Any, Literal, Optional, Union

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, Field

from po_optimizer.errors import (
    DamagedArtifactError,
    NotStorableError,
    NotStoredError,
)
from po_optimizer.persistence import components  # noqa: F401 registers the codecs
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.annotations import (
    decode_annotation,
    encode_annotation,
)
from po_optimizer.persistence.codec.imports import DATA_PACKAGES, Imports
from po_optimizer.persistence.codec.values import Decoder, Encoder

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.ip_addresses()
)
KEYS = st.text() | st.integers() | st.dates() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
    ),
    max_leaves=12,
)


def round_trip(value: Any, allowed: tuple[str, ...] = ()) -> Any:
    """The value after a trip through a document's bytes."""
    encoder = Encoder()
    encoder.strict = True
    node = fmt.copy_of({"v": encoder.encode(value, "v"), "types": encoder.types})
    return Decoder(Imports((*DATA_PACKAGES, *allowed)), node["types"]).decode(node["v"])


def equal(left: Any, right: Any) -> bool:
    """Equal, of the same type, at every level; NaN is equal to NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=True)
        return all(
            equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True)
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, float):
        if math.isnan(left):
            return math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return str(left) == str(right) or bool(left == right)  # Decimal has NaNs too


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_values_survive(value: Any) -> None:
    """Every value comes back equal, in its type and order; encoded again, the same."""
    again = round_trip(value)
    assert equal(again, value)
    once, twice = (fmt.dump(Encoder().encode(v, "v")) for v in (value, again))
    assert once == twice


@pytest.mark.parametrize(
    "value",
    [
        ...,
        NotImplemented,
        slice(1, 2),
        datetime.timezone(datetime.timedelta(hours=2), "two"),
        datetime.timezone(datetime.timedelta(hours=2)),
        collections.deque([1]),
        collections.defaultdict(None, {1: 2}),
    ],
    ids=str,
)
def test_rarer_values_survive(value: Any) -> None:
    """The rarer kinds of values come back equal too."""
    assert round_trip(value) == value


def test_namespace_survives() -> None:
    """A simple namespace keeps its attributes."""
    import types  # noqa: PLC0415

    assert round_trip(types.SimpleNamespace(a=(1,))).a == (1,)


def test_object_array_is_no_data() -> None:
    """A numpy array of objects would be a pickle; it is refused."""
    import numpy as np  # noqa: PLC0415

    with pytest.raises(NotStorableError, match="numpy array of object"):
        round_trip(np.array([object()]))


ANNOTATIONS = [
    int,
    None,
    Any,
    int | None,
    Optional[int],  # noqa: UP045
    Union[int, str],  # noqa: UP007
    list[dict[str, tuple[int, ...]]],
    typing.List[int],  # noqa: UP006
    typing.Dict[str, typing.Any],  # noqa: UP006
    typing.Sequence[int],
    collections.abc.Mapping[str, int],
    collections.abc.Callable[[int, str], bool],
    collections.abc.Callable[..., bool],
    typing.Callable[[int], str],
    Literal["a", 1, None],
    Annotated[int, Field(ge=1, description="x")],
    type[int],
]


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
def test_annotations_survive(annotation: Any) -> None:
    """An annotation comes back as the same kind of annotation."""
    node = encode_annotation(Encoder(), annotation, "a")
    found = decode_annotation(Decoder(Imports(()), {}), fmt.copy_of({"v": node})["v"])
    assert type(found) is type(annotation)
    assert str(found) == str(annotation)


def upper(text: str) -> str:
    """A serializer."""
    return text.upper()


def make() -> list[int]:
    """A factory."""
    return [1]


class Aliased(BaseModel):
    """Uses what pydantic's fields can do."""

    a: int = Field(1, validation_alias=AliasPath("x", 0))
    b: int = Field(1, validation_alias=AliasChoices("y", "z"), serialization_alias="bb")
    c: list[int] = Field(default_factory=make)
    d: Annotated[str, pydantic.PlainSerializer(upper)] = "d"
    e: Annotated[str, pydantic.WrapValidator(lambda v, handler: handler(v))] = "e"
    f: Annotated[int, pydantic.BeforeValidator(upper, json_schema_input_type=str)] = 1
    g: Annotated[list[Annotated[str, Field(min_length=2)]], Field(max_length=3)] = []
    h: float = Field(1.0, allow_inf_nan=False, strict=True, multiple_of=0.5)
    i: str = Field("i", deprecated=True, json_schema_extra={"k": [1]}, examples=["x"])


@pytest.mark.parametrize("allowed", [(), ("tests",)])
def test_fields_survive_with_and_without_the_class(allowed: tuple[str, ...]) -> None:
    """Imported or rebuilt, a model has the same JSON schema and values."""
    found = round_trip(Aliased(d="x"), allowed)
    assert type(found).model_json_schema() == Aliased.model_json_schema()
    assert found.model_dump(mode="json") == Aliased(d="x").model_dump(mode="json")


def test_validator_comes_with_its_class_only() -> None:
    """Imported, a model validates as it did; rebuilt, it refuses to."""
    assert type(round_trip(Aliased(d="x"), ("tests",)))(e="ee", c=[]).e == "ee"
    with pytest.raises(NotStoredError, match="Aliased"):
        type(round_trip(Aliased(d="x"), ()))(e="ee", c=[])


def test_function_named_like_a_builtin_is_no_builtin() -> None:
    """Rebuilt, a dataclass makes no empty list where a function made its own."""
    make.__name__ = "list"
    factory = dataclasses.field(default_factory=make)
    kind = dataclasses.make_dataclass("Own", [("a", list[int], factory)])
    rebuilt = round_trip(kind)
    with pytest.raises(NotStoredError):
        rebuilt()


@pytest.mark.parametrize("allowed", [(), ("tests",)])
def test_generic_and_recursive_classes_survive(allowed: tuple[str, ...]) -> None:
    """Imported or rebuilt, classes that name others have the same JSON schema."""
    from tests.persistence import zoo  # noqa: PLC0415

    for kind in (zoo.Person, zoo.Left, zoo.Box[zoo.Person], zoo.Tags):
        assert round_trip(kind, allowed).model_json_schema() == kind.model_json_schema()


@pytest.mark.parametrize("name", ["tests.persistence", "../etc/passwd", "Mars/Base"])
def test_only_zones_that_there_are(name: str) -> None:
    """For any other name Python would import a package of that name."""
    with pytest.raises(DamagedArtifactError, match="zone"):
        Decoder(Imports(()), {}).decode({"$": "zone", "v": name})
