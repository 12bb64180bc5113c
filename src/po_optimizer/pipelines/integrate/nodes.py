"""Nodes of integrate: choose the program, run it on real requirements, write YAML."""

from logging import getLogger
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, LMInvalidRequestError

from po_optimizer.errors import RefusedPromptError, UnusableAnswerError
from po_optimizer.lms import MeteredLM, StopRun, use_lm
from po_optimizer.params import FeaturesParams, RoleParams
from po_optimizer.persistence import extract_program_components, get_provenance
from po_optimizer.product_owner.request import read_request
from po_optimizer.roles import make_program

logger = getLogger(__name__)


def choose_program(
    promotion: dict[str, Any] | None,
    optimized_program: dspy.Module | None,
    role: RoleParams,
    features: FeaturesParams,
) -> tuple[dspy.Module, dict[str, Any]]:
    """The program that the switch and the promotion allow, and why it is that one."""
    if not features.use_dspy_product_owner:
        used, reason = "baseline", "features.use_dspy_product_owner is off"
    elif optimized_program is None:
        used, reason = "baseline", "no optimized program is stored for this LM"
    elif promotion is None:
        used, reason = "baseline", "the optimized program has not been evaluated"
    elif promotion["program"] != _fingerprint(optimized_program):
        used, reason = (
            "baseline",
            "the promotion is that of another program: run evaluate",
        )
    elif promotion["decision"] != "promote":
        first = promotion["reasons"][0] if promotion["reasons"] else ""
        used, reason = "baseline", f"{promotion['decision']}: {first}"
    else:
        used, reason = "optimized", "the optimized program is promoted"
    logger.info("The Product Owner runs the %s program: %s", used, reason)
    if used == "optimized" and optimized_program is not None:
        provenance = get_provenance(optimized_program)
        return optimized_program, _choice(used, reason, provenance)
    return make_program(role), _choice(used, reason, {})


def write_vision_and_review(
    chosen_program: dspy.Module,
    choice: dict[str, Any],
    requirements: str,
    existing_vision: str,
    concept: str | None,
    task_lm: MeteredLM,
) -> dict[str, Any]:
    """Vision and review as YAML text made from the typed result, and the report."""
    request = read_request(requirements, concept, existing_vision)
    for warning in request.warnings:
        logger.warning("%s", warning)
    try:
        with use_lm(task_lm, stage="integrate"):
            prediction = chosen_program(**request.inputs)
        vision, review = prediction.product_vision, prediction.product_owner_review
        texts = {name: made.to_yaml() for name, made in _typed(vision, review).items()}
    except (AdapterParseError, AttributeError) as error:
        raise UnusableAnswerError("integrate", task_lm.slug) from error
    except LMInvalidRequestError as error:
        words = task_lm.meter.words(error, 300)
        raise RefusedPromptError("integrate", task_lm.slug, words) from error
    except StopRun as stop:
        raise stop.as_error() from stop
    report = {
        **choice,
        "lm": task_lm.slug,
        "concept": request.inputs["concept"],
        "warnings": request.warnings,
        "status": review.status,
        "conflicts": review.requirements_alignment.conflicts,
        "gaps": review.requirements_alignment.gaps,
        "usage": task_lm.meter.ledger.totals(
            run_id=task_lm.meter.run_id, stage="integrate"
        ).model_dump(),
    }
    return {**texts, "integration_report": report}


def _fingerprint(program: dspy.Module) -> dict[str, str]:
    found: dict[str, str] = extract_program_components(program)["fingerprint"]
    return found


def _typed(vision: Any, review: Any) -> dict[str, Any]:
    return {"product_vision": vision, "product_owner_review": review}


def _choice(used: str, reason: str, provenance: dict[str, Any]) -> dict[str, Any]:
    return {"program": used, "reason": reason, "provenance": provenance}
