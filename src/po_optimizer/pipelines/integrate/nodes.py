"""Nodes of integrate: run the chosen program on real requirements, write YAML."""

from logging import getLogger
from typing import Any

import dspy
import yaml
from dspy.utils.exceptions import AdapterParseError, LMInvalidRequestError

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms import MeteredLM, StopRun, use_lm
from po_optimizer.product_owner.request import read_request

logger = getLogger(__name__)


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
        words = task_lm.meter.describe_error(error, 300)
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
