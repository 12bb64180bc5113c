"""Integrate: documents that are whole or not made."""

import json

import pytest
import yaml
from dspy.utils.exceptions import LMInvalidRequestError, LMTransportError

from po_optimizer.errors import PoOptimizerError
from po_optimizer.pipelines.integrate.nodes import write_vision_and_review
from po_optimizer.product_owner.schema import (
    ProductOwnerReview,
    ProductVision,
    is_iso_8601,
)
from po_optimizer.roles.build import make_program
from tests.product_owner.records import PRODUCT_OWNER, REQUIREMENTS, review, vision
from tests.scripted import fixed_fields, scripted_lm

ROLE = PRODUCT_OWNER
CHOICE = {"program": "baseline", "reason": "why", "provenance": {}}
GOOD = fixed_fields(product_vision=vision(), product_owner_review=review())


def write(folder, answer, **changes):
    """What the node writes when the LM answers so."""
    inputs = {"requirements": REQUIREMENTS, "existing_vision": "", "concept": None}
    lm = scripted_lm(answer, folder, num_retries=0)
    return write_vision_and_review(
        make_program(ROLE), CHOICE, **{**inputs, **changes}, task_lm=lm
    )


def test_documents_are_yaml_of_the_typed_result(tmp_path):
    """Never the LM's own text: both read back as what they are."""
    made = write(tmp_path, GOOD)
    assert ProductVision.from_yaml(made["product_vision"]).product_name == "ShedShare"
    read = ProductOwnerReview.from_yaml(made["product_owner_review"])
    assert read.status == "needs_adjustment"
    assert yaml.safe_load(made["product_vision"])["non_goals"] == ["Selling tools"]


def test_documents_hold_exactly_the_fields_of_their_schema(tmp_path):
    """No comment, no field of ours: who wrote them stands in a file beside them."""
    made = write(tmp_path, GOOD)
    for name, schema in (
        ("product_vision", ProductVision),
        ("product_owner_review", ProductOwnerReview),
    ):
        assert set(yaml.safe_load(made[name])) == set(schema.model_fields)
        assert "#" not in made[name]
    origin = yaml.safe_load(made["provenance"])
    assert (origin["program"], origin["lm"]) == ("baseline", "scripted")


def test_report_tells_program_lm_verdict_and_usage(tmp_path):
    """The run can be understood from its report alone."""
    report = write(tmp_path, GOOD)["integration_report"]
    assert (report["program"], report["reason"]) == ("baseline", "why")
    assert (report["lm"], report["status"]) == ("scripted", "needs_adjustment")
    assert report["conflicts"] == review()["requirements_alignment"]["conflicts"]
    assert report["usage"]["paid"] == 1
    assert (report["warnings"], report["trust"]) == ([], None)
    assert json.dumps(report)


def test_warnings_reach_the_report(tmp_path):
    """A concept that the document overrules is told."""
    report = write(tmp_path, GOOD, concept="Something else")["integration_report"]
    assert report["concept"] == "Lend garden tools between neighbors"
    assert "CONCEPT differs" in report["warnings"][0]


def test_date_is_that_of_the_run(tmp_path):
    """No LM knows what day it is."""
    old = {**vision(), "last_updated": "2023-04-01"}
    made = write(
        tmp_path, fixed_fields(product_vision=old, product_owner_review=review())
    )
    updated = ProductVision.from_yaml(made["product_vision"]).last_updated
    assert is_iso_8601(updated)
    assert not updated.startswith("2023")


def test_documents_that_contradict_themselves_are_of_low_trust(tmp_path, caplog):
    """Warned of on the terminal, in the report, and on top of both documents."""
    answer = fixed_fields(
        product_vision=vision(), product_owner_review={**review(), "status": "aligned"}
    )
    made = write(tmp_path, answer)
    report = made["integration_report"]
    assert report["warnings"] == ["The status is aligned, but conflicts are listed."]
    assert report["warnings"][0] in caplog.text
    assert report["trust"].startswith("Low trust: a warning in integration_report.json")
    for name in ("product_vision", "product_owner_review"):
        assert made[name].startswith(f"# {report['trust']}\n")
    assert ProductOwnerReview.from_yaml(made["product_owner_review"]) is not None


@pytest.mark.parametrize(
    "answer",
    [
        lambda prompt: "I cannot do that.",
        lambda prompt: "",
        fixed_fields(product_vision=vision()),
        fixed_fields(product_vision={}, product_owner_review=review()),
        fixed_fields(product_vision=None, product_owner_review=None),
    ],
    ids=["talk", "nothing", "half", "empty vision", "nulls"],
)
def test_unusable_answer_writes_nothing(tmp_path, answer):
    """The files that stood there stay; the error says what to change."""
    with pytest.raises(PoOptimizerError, match=r"scripted.*lm.max_tokens"):
        write(tmp_path, answer)


@pytest.mark.parametrize(
    "failure", [LMTransportError("refused"), LMInvalidRequestError("too long")]
)
def test_failure_of_the_lm_is_told_in_a_sentence(tmp_path, failure):
    """An LM out of reach, and one that refuses the prompt, are no traceback."""

    def fail(prompt):
        raise failure

    with pytest.raises(PoOptimizerError, match=str(failure)):
        write(tmp_path, fail)
