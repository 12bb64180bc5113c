"""What the Product Owner is asked: concept, requirements and an earlier vision."""

import re
from dataclasses import dataclass, field

from po_optimizer.errors import PoOptimizerError, nearest
from po_optimizer.product_owner.schema import (
    ProductVision,
    Requirements,
    RequirementsMeta,
)
from po_optimizer.product_owner.yaml_text import read_yaml

_COMMENTS = re.compile(r"\A(?:#.*\n)+")


@dataclass(frozen=True)
class Request:
    """The program's inputs.

    Args:
        inputs: `concept`, `requirements_yaml`, `existing_vision`.
        requirements: What `requirements_yaml` holds.
        warnings: What the user should know of how they came about.
    """

    inputs: dict[str, str]
    requirements: Requirements
    warnings: list[str] = field(default_factory=list)


def read_request(
    requirements: str, concept: str | None, existing_vision: str
) -> Request:
    """The request that a requirements document and a concept make.

    The document's `meta.original_request` is the concept; if both are there and
    differ, the document wins.

    Args:
        requirements: YAML text; "" if there is no document.
        concept: From CONCEPT or the parameter `concept`.
        existing_vision: YAML text; "" if there is none.

    Raises:
        DocumentError: The requirements or the vision cannot be read.
        PoOptimizerError: Neither the document nor `concept` says what the product is.
    """
    warnings: list[str] = []
    given = (concept or "").strip()
    if requirements.strip():
        document = Requirements.from_yaml(requirements, "requirements")
        warnings += _misspelt_keys(requirements)
    else:
        document = Requirements(meta=RequirementsMeta(original_request=given or None))
        warnings.append("There is no requirements document: the concept stands alone.")
    asked = (document.meta.original_request or "").strip()
    if not (asked or given):
        raise PoOptimizerError(
            "concept=None: neither the requirements (meta.original_request) nor "
            "CONCEPT says what the product is. Write it into one of them, as in "
            'make po CONCEPT="A planner for repair cafes".'
        )
    if asked and given and asked.split() != given.split():
        warnings.append("CONCEPT differs from meta.original_request: the latter wins.")
    existing_vision = _COMMENTS.sub("", existing_vision)  # such as ours of low trust
    if existing_vision.strip():
        ProductVision.from_yaml(existing_vision, "existing_vision")
    return Request(
        {
            "concept": asked or given,
            "requirements_yaml": requirements.strip() or document.to_yaml(),
            "existing_vision": existing_vision.strip(),
        },
        document,
        warnings,
    )


def _misspelt_keys(requirements: str) -> list[str]:
    """Further keys are the writer's own, unless they look like one that is read."""
    fields = Requirements.model_fields
    other = [key for key in read_yaml(requirements) if key not in fields]
    return [
        f"requirements: the key {key} is not read{meant}."
        for key in other
        if (meant := nearest(key, fields))
    ]
