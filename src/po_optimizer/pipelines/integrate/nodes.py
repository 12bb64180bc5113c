"""Nodes of integrate: run the chosen program on real requirements, write YAML."""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Any

import dspy
import yaml
from dspy.utils.exceptions import AdapterParseError, LMInvalidRequestError

from po_optimizer.console.live import StageBar, show
from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.lm import MeteredLM, use_lm
from po_optimizer.lms.stops import StopRun
from po_optimizer.lms.visible import first_words
from po_optimizer.product_owner.doubts import doubts_about
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
    wrote them stands in a file beside them. What makes one doubt them is warned of, and
    a comment on top of them says so.
    """
    request = read_request(requirements, concept, existing_vision)
    for warning in request.warnings:
        logger.warning("%s", warning)
    meter, asked = task_lm.meter, request.inputs["concept"]
    with _plain_refusals(task_lm):
        with show(StageBar("integrate")), use_lm(task_lm, stage="integrate"):
            prediction = chosen_program(**request.inputs)
            meter.check()  # a Ctrl-C came while it answered
        vision = prediction.product_vision.updated_now()
        review = prediction.product_owner_review
        texts = (vision.to_yaml(), review.to_yaml())
    doubts = doubts_about(asked, request.requirements, vision, review)
    for doubt in doubts:
        logger.warning("%s", doubt)
    trust = _low_trust(doubts) if doubts else None
    comment = f"# {trust}\n" if trust else ""
    origin = {**choice, "lm": task_lm.slug, "concept": asked}
    usage = meter.ledger.totals(run_id=meter.run_id, stage="integrate")
    report = {
        "trust": trust,
        **origin,
        "warnings": [*request.warnings, *doubts],
        "status": review.status,
        "conflicts": review.requirements_alignment.conflicts,
        "gaps": review.requirements_alignment.gaps,
        "usage": usage.model_dump(),
    }
    return {
        "product_vision": comment + texts[0],
        "product_owner_review": comment + texts[1],
        "integration_report": report,
        "provenance": yaml.safe_dump(origin, sort_keys=False, allow_unicode=True),
    }


@contextmanager
def _plain_refusals(lm: MeteredLM) -> Iterator[None]:
    """Says in a sentence why there is no vision and no review."""
    untouched = "the files that stood there are untouched"
    try:
        yield
    except (AdapterParseError, AttributeError) as error:
        raise PoOptimizerError(
            f"integrate: the answer of {lm.slug} could not be read as the program's "
            f"outputs; {untouched}. Raise lm.max_tokens, or choose an LM that answers "
            "in JSON (lm.structured_output)."
        ) from error
    except LMInvalidRequestError as error:
        words = first_words(error, 300)
        raise PoOptimizerError(
            f"integrate: {lm.slug} refused the prompt: {words}; {untouched}. Shorten "
            "the documents, or choose an LM with a larger context window "
            "(lm.context_tokens)."
        ) from error
    except StopRun as stop:
        raise stop.as_error() from stop


def _low_trust(doubts: list[str]) -> str:
    warnings = "a warning" if len(doubts) == 1 else f"{len(doubts)} warnings"
    return f"Low trust: {warnings} in integration_report.json, read before use."
