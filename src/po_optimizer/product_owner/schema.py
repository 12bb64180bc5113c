"""The Product Owner's documents: requirements, vision, review."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from po_optimizer.errors import DocumentError, field_problems, listed
from po_optimizer.product_owner.yaml_text import place_of, read_yaml, write_yaml

_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?")


def as_text(value: Any) -> Any:
    """Text for what an LM or a YAML reader made of text; the rest unchanged."""
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    if isinstance(value, Mapping):  # `- FR001: too slow` is a mapping to YAML
        return "; ".join(f"{key}: {as_text(item)}" for key, item in value.items())
    if isinstance(value, int | float):
        return str(value)
    return value


# The bounds stand in the JSON schema only: small models need them to stop while they
# decode, and the longer answer of a better model must not be refused.
def _length(shortest: int, longest: int) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "minLength": shortest, "maxLength": longest}
    )


def size(fewest: int, most: int) -> Any:
    """How many entries an LM is asked for."""
    return Field(json_schema_extra={"minItems": fewest, "maxItems": most})


_AsText = BeforeValidator(as_text)
Text = Annotated[str, _AsText]
Entry = Annotated[str, _AsText, _length(3, 120)]
Name = Annotated[str, _AsText, _length(2, 60)]
ProductSummary = Annotated[str, _AsText, _length(40, 400)]
Narrative = Annotated[str, _AsText, _length(40, 500)]
Timestamp = Annotated[
    str, _AsText, WithJsonSchema({"type": "string", "format": "date-time"})
]
Entries = Annotated[list[Entry], size(1, 6)]
EntriesOrNone = Annotated[list[Entry], size(0, 6)]
Written = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), _AsText
]
"""Text of ours, as against an LM's: it must not be blank."""


def is_iso_8601(text: str) -> bool:
    """Whether a text is an ISO 8601 date, or date and time, that exists."""
    if not _ISO_8601.fullmatch(text):
        return False  # Python 3.11 also reads week dates and 20250224
    try:
        # Python reads no fraction of a minute.
        datetime.fromisoformat(re.sub(r"\.\d+", "", text))
    except ValueError:
        return False
    return True


Status = Literal["aligned", "needs_adjustment", "misaligned"]
STATUSES: tuple[str, ...] = get_args(Status)
"""From fit to unfit; neighbors are one step apart."""

D = TypeVar("D", bound="Document")


class Document(BaseModel):
    """A document that travels as YAML text."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_yaml(cls: type[D], text: Any, document: str | None = None) -> D:
        """The document that a YAML text holds.

        Args:
            text: YAML, in Markdown fences or not; the mapping that was read of it, or
                the document itself.
            document: What the error calls it (a file, say); the class by default.

        Raises:
            DocumentError: No readable YAML, or fields that are missing or wrong.
        """
        name = document or cls.__name__
        fields = read_yaml(text, name) if isinstance(text, str) else text
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            path = error.errors()[0]["loc"]
            place = place_of(text, path) if isinstance(text, str) else None
            problems = "; ".join(field_problems(error))
            raise DocumentError(name, problems, *(place or (None, None))) from error

    def to_yaml(self) -> str:
        """The document as YAML, keys in the order of the fields."""
        return write_yaml(self)


class Requirement(Document):
    """One requirement or constraint of the business analyst."""

    id: Written
    description: Written
    priority: Text = ""


def _empty_if_none(value: Any) -> Any:
    return [] if value is None else value  # a YAML key without entries


RequirementList = Annotated[list[Requirement], BeforeValidator(_empty_if_none)]


_LISTS = ("functional_requirements", "non_functional_requirements", "constraints")


class RequirementsMeta(Document):
    """Where the requirements come from."""

    original_request: Text | None = None


class Requirements(Document):
    """What the business analyst delivered; ids are unique over its three lists."""

    meta: RequirementsMeta = RequirementsMeta()
    title: Text = ""
    description: Text = ""
    functional_requirements: RequirementList = Field(default_factory=list)
    non_functional_requirements: RequirementList = Field(default_factory=list)
    constraints: RequirementList = Field(default_factory=list)

    @property
    def every(self) -> list[Requirement]:
        """Functional, non-functional and constraints, in this order."""
        return [*self.wishes, *self.constraints]

    @property
    def wishes(self) -> list[Requirement]:
        """Functional and non-functional ones: what somebody wants."""
        return [*self.functional_requirements, *self.non_functional_requirements]

    @property
    def texts(self) -> list[str]:
        """What is said of the product: request, title and all descriptions."""
        own = [self.meta.original_request or "", self.title, self.description]
        return [*own, *(requirement.description for requirement in self.every)]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Requirements":
        places: dict[str, list[str]] = {}
        for name in _LISTS:
            for position, requirement in enumerate(getattr(self, name)):
                place = f"{name}[{position}].id"
                places.setdefault(requirement.id.casefold(), []).append(place)
        repeated = {name: where for name, where in places.items() if len(where) > 1}
        if repeated:
            places_of = (
                f"{name} ({listed(where)})" for name, where in sorted(repeated.items())
            )
            msg = f"ids stand twice: {listed(places_of)}"
            raise ValueError(msg)
        return self


class ProductVision(Document):
    """What the product is, for whom and to what end."""

    product_name: Name
    product_summary: ProductSummary
    target_users: Entries
    value_proposition: Entries
    key_capabilities: Entries
    non_goals: EntriesOrNone
    success_metrics: Entries
    last_updated: Timestamp

    def updated_now(self) -> "ProductVision":
        """The same vision with the time (UTC) of today: an LM does not know it."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return self.model_copy(update={"last_updated": now})


class RequirementsAlignment(Document):
    """The requirements, by id, held against concept and vision."""

    aligned: EntriesOrNone
    gaps: EntriesOrNone
    conflicts: EntriesOrNone


class ProductOwnerReview(Document):
    """How well the requirements fit the product."""

    status: Status
    summary: Annotated[list[Entry], size(1, 4)]
    requirements_alignment: RequirementsAlignment
    recommended_actions: Annotated[list[Entry], size(1, 5)]
    narrative: Narrative
