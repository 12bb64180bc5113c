"""The Product Owner's records: one line of the data set, checked and completed."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, get_origin

import dspy
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from po_optimizer.errors import DocumentError
from po_optimizer.product_owner.schema import (
    Document,
    ProductOwnerReview,
    ProductVision,
    Requirements,
    RequirementsAlignment,
    Written,
    as_text,
    is_iso_8601,
)
from po_optimizer.product_owner.yaml_text import read_yaml


def _yaml(document: str) -> BeforeValidator:
    """YAML text is read, a mapping is taken as it is."""
    return BeforeValidator(
        lambda value: read_yaml(value, document) if isinstance(value, str) else value
    )


def _readable_vision(text: str) -> str:
    if text.strip():
        read_yaml(text, "existing_vision")
    return text


class RecordInput(BaseModel):
    """What the Product Owner is given, with what the splits are balanced over."""

    concept_id: Written | None = None
    concept: Written
    requirements_yaml: str
    existing_vision: Annotated[str, AfterValidator(_readable_vision)] = ""
    tier: Literal["simple", "medium", "corporate", "unknown"] = "unknown"
    language: Annotated[str, Field(pattern="^([a-z]{2}|unknown)$")] = "unknown"
    # The same text once more, read: problems in it are named by their field.
    requirements: Annotated[Requirements, _yaml("requirements_yaml")] = Field(
        validation_alias=AliasChoices("requirements_yaml"), exclude=True
    )


class RecordOutput(BaseModel):
    """The reference: what a careful Product Owner wrote."""

    product_vision: Annotated[ProductVision, _yaml("product_vision")]
    product_owner_review: Annotated[ProductOwnerReview, _yaml("product_owner_review")]
    warnings: tuple[str, ...] = Field(default=(), exclude=True)  # what is missing

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, given: Any) -> Any:
        """The documents with an empty text or list for what is missing in them.

        The metric can read such a reference; only its status must be there.
        """
        documents: dict[str, type[Document]] = {
            "product_vision": ProductVision,
            "product_owner_review": ProductOwnerReview,
        }
        if not isinstance(given, Mapping) or not documents.keys() <= given.keys():
            return given
        completed: dict[str, Any] = {}
        warnings: list[str] = []
        for name, model in documents.items():
            fields = given[name]
            with suppress(DocumentError):  # told by its field later
                fields = read_yaml(fields, name) if isinstance(fields, str) else fields
            completed[name] = _complete(fields, model, name, warnings)
        vision = completed["product_vision"]
        updated = vision.get("last_updated") if isinstance(vision, Mapping) else ""
        if updated and not is_iso_8601(str(as_text(updated))):
            warnings.append(f"product_vision.last_updated={updated!r} is not ISO 8601")
        return {**completed, "warnings": tuple(warnings)}


def _complete(
    fields: Any, model: type[Document], name: str, warnings: list[str]
) -> Any:
    """The fields of a document; a warning for each that is not as it should be."""
    if not isinstance(fields, Mapping):
        return fields
    completed = dict(fields)
    for key, field in model.model_fields.items():
        value, where = completed.get(key), f"{name}.{key}"
        is_list = get_origin(field.annotation) is list
        bare = is_list and isinstance(value, str)  # a text in place of a list
        if field.annotation is RequirementsAlignment:
            completed[key] = _complete(
                value or {}, RequirementsAlignment, where, warnings
            )
        elif key == "status" or (value is not None and not bare):
            continue
        else:
            completed[key] = ([] if value is None else [value]) if is_list else ""
            problem = "is missing" if value is None else "is a text, not a list"
            warnings.append(f"{where} {problem}")
    return completed


class RecordMetadata(BaseModel):
    """Where the record comes from; further keys are kept."""

    model_config = ConfigDict(extra="allow")

    domain: str = "unknown"
    origin: str = "unknown"


class ProductOwnerRecord(BaseModel):
    """One line of the data set (`data/01_raw/README.md`)."""

    input: RecordInput
    output: RecordOutput
    metadata: RecordMetadata = RecordMetadata()

    def to_example(self) -> dspy.Example:
        """The record as an example; its reference is typed, so that demos render."""
        given = self.input
        return dspy.Example(
            concept=given.concept,
            requirements_yaml=given.requirements_yaml,
            existing_vision=given.existing_vision,
            product_vision=self.output.product_vision,
            product_owner_review=self.output.product_owner_review,
            **({"concept_id": given.concept_id} if given.concept_id else {}),
            tier=given.tier,
            language=given.language,
            domain=self.metadata.domain,
        ).with_inputs("concept", "requirements_yaml", "existing_vision")

    def warnings(self) -> tuple[str, ...]:
        """What is missing in the reference; the metric reads it as empty."""
        return self.output.warnings

    def stratum(self) -> tuple[str, str]:
        """Tier and language: the splits have the same share of each."""
        return self.input.tier, self.input.language

    def identity(self) -> tuple[str, ...]:
        """The record's own texts, without the YAML that all records share."""
        requirements = self.input.requirements
        return (
            self.input.concept,
            requirements.title,
            requirements.description,
            *(requirement.description for requirement in requirements.every),
        )
