"""Nodes of integrate: choose the program, run it on real requirements, write YAML."""

from logging import getLogger
from typing import Any

import dspy
import yaml
from dspy.utils.exceptions import AdapterParseError, LMInvalidRequestError

from po_optimizer.errors import PoOptimizerError
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
    against = _reason_for_the_baseline(promotion, optimized_program, features)
    used = "optimized" if against is None else "baseline"
    reason = against or "the optimized program is promoted"
    logger.info("The Product Owner runs the %s program: %s", used, reason)
    if against is None and optimized_program is not None:
        program, provenance = optimized_program, get_provenance(optimized_program)
    else:
        program, provenance = make_program(role), {}
    return program, {"program": used, "reason": reason, "provenance": provenance}


def write_vision_and_review(
    chosen_program: dspy.Module,
    choice: dict[str, Any],
    requirements: str,
    existing_vision: str,
    concept: str | None,
    task_lm: MeteredLM,
) -> dict[str, Any]:
    """Vision and review as YAML text made from the typed result, and the report.

    The two documents hold the schema's fields and nothing else: which program and LM
    wrote them stands in a file beside them.
    """
    request = read_request(requirements, concept, existing_vision)
    for warning in request.warnings:
        logger.warning("%s", warning)
    try:
        with use_lm(task_lm, stage="integrate"):
            prediction = chosen_program(**request.inputs)
            task_lm.meter.check()  # a Ctrl-C came while it answered
        vision, review = prediction.product_vision, prediction.product_owner_review
        texts = {
            "product_vision": vision.to_yaml(),
            "product_owner_review": review.to_yaml(),
        }
    except (AdapterParseError, AttributeError) as error:
        raise PoOptimizerError(
            f"integrate: the answer of {task_lm.slug} could not be read as the "
            "program's outputs; the files that stood there are untouched. Raise "
            "lm.max_tokens, or choose an LM that answers in JSON "
            "(lm.structured_output)."
        ) from error
    except LMInvalidRequestError as error:
        words = task_lm.meter.words(error, 300)
        raise PoOptimizerError(
            f"integrate: {task_lm.slug} refused the prompt: {words}. The files that "
            "stood there are untouched. Shorten the documents, or choose an LM with a "
            "larger context window (lm.context_tokens)."
        ) from error
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
    origin = {**choice, "lm": task_lm.slug, "concept": request.inputs["concept"]}
    provenance = yaml.safe_dump(origin, sort_keys=False, allow_unicode=True)
    return {**texts, "integration_report": report, "provenance": provenance}


def _reason_for_the_baseline(
    promotion: dict[str, Any] | None,
    optimized_program: dspy.Module | None,
    features: FeaturesParams,
) -> str | None:
    """Why the optimized program may not run; None if it may."""
    if not features.use_dspy_product_owner:
        return "features.use_dspy_product_owner is off"
    if optimized_program is None:
        return "no optimized program is stored for this LM"
    if promotion is None:
        return "the optimized program has not been evaluated"
    judged = extract_program_components(optimized_program)["fingerprint"]
    if promotion["program"] != judged:
        return "the promotion is that of another program: run evaluate"
    if promotion["decision"] != "promote":
        first = promotion["reasons"][0] if promotion["reasons"] else ""
        return f"{promotion['decision']}: {first}"
    return None
