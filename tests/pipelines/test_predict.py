"""Predict: which program runs and why, and an answer for every row."""

import json

import dspy
import pytest

from po_optimizer.errors import SettingError
from po_optimizer.params.project import FeaturesParams, RoleParams
from po_optimizer.persistence import attach_provenance, extract_program_components
from po_optimizer.pipelines.predict.nodes import (
    answer_inputs,
    choose_program,
    report_answers,
)
from po_optimizer.records.reading import read_table
from po_optimizer.roles.build import make_program
from tests.product_owner.records import PRODUCT_OWNER
from tests.scripted import scripted_lm

ROLE = PRODUCT_OWNER
CHOICE = {"program": "baseline", "reason": "why", "provenance": {}}
ready_made = dspy.Predict("question -> answer")
SMALL = RoleParams(program="tests.pipelines.test_predict:ready_made")


KEPT = {"decision": "keep_champion", "reasons": ["it is worse"]}
INCONCLUSIVE = {"decision": "inconclusive", "reasons": ["the interval holds 0"]}


def choose(promotion, program, *, switch=True):
    """The chosen program and the choice."""
    features = FeaturesParams(use_dspy_product_owner=switch)
    return choose_program(promotion, program, ROLE, features, None)


@pytest.mark.parametrize("last", [None, INCONCLUSIVE, KEPT])
def test_promoted_program_is_used_with_its_provenance(last):
    """Whatever was decided on another program since, the promoted one runs."""
    program = attach_provenance(make_program(ROLE), {"seed": 9})
    chosen, choice = choose(last, program)
    assert chosen is program
    assert (choice["program"], choice["provenance"]) == ("optimized", {"seed": 9})


@pytest.mark.parametrize(
    ("last", "stored", "switch", "reason"),
    [
        (KEPT, True, False, "use_dspy_product_owner is off"),
        (None, False, True, "no optimized program has been evaluated"),
        (INCONCLUSIVE, False, True, "(inconclusive: the interval holds 0)"),
    ],
)
def test_baseline_is_used_and_the_reason_is_told(last, stored, switch, reason):
    """No fallback is silent: the choice says which program runs and why."""
    promoted = make_program(ROLE) if stored else None
    chosen, choice = choose(last, promoted, switch=switch)
    assert chosen is not promoted
    assert isinstance(chosen, dspy.Module)
    assert (choice["program"], choice["provenance"]) == ("baseline", {})
    assert reason in choice["reason"]


def answers(folder, raw, answer='{"answer": "yes"}'):
    """What is saved for these inputs, and the LM."""
    lm = scripted_lm(lambda prompt: answer, folder, num_retries=0)
    table = None if raw is None else read_table(raw)
    return list(answer_inputs(make_program(SMALL), CHOICE, table, lm, SMALL)), lm


def test_every_row_is_answered_with_what_made_the_answer(tmp_path, caplog):
    """Inputs, outputs, program and LM stand in each line; other columns are kept."""
    caplog.set_level("INFO", "po_optimizer")
    made, lm = answers(tmp_path, [{"question": "one", "id": 7}, {"question": "two"}])
    assert [line["inputs"] for line in made] == [
        {"question": "one", "id": 7},
        {"question": "two"},
    ]
    assert [line["outputs"] for line in made] == [{"answer": "yes"}] * 2
    stored = extract_program_components(make_program(SMALL))["fingerprint"]
    assert (made[0]["fingerprint"], made[0]["lm"]) == (stored, "scripted")
    report = report_answers(made, CHOICE, lm)
    assert (report["n"], report["n_failed"], report["usage"]["paid"]) == (2, 0, 2)
    assert json.dumps([made, report])
    assert "score=" not in caplog.text  # nobody judged them


def test_row_that_cannot_be_answered_has_a_reason(tmp_path):
    """The other rows are answered; lines that are no rows are named in the log."""
    made, lm = answers(tmp_path, '{"question": "one"}\nbroken\n', "I cannot")
    assert [line["status"] for line in made] == ["failed"]
    assert "AdapterParseError" in made[0]["reason"]
    assert report_answers(made, CHOICE, lm)["n_failed"] == 1


def test_inputs_must_be_named(tmp_path):
    """The error says with which parameter, and which columns the program takes."""
    with pytest.raises(SettingError, match=r"predict.inputs=.*each of question"):
        answers(tmp_path, None)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [([], "no row"), ([{"qestion": "one"}], "no column question, only qestion")],
)
def test_a_table_that_no_answer_can_come_from_is_refused(tmp_path, raw, problem):
    """Rows of failures would be an answer that looks like one."""
    with pytest.raises(SettingError, match=f"predict.inputs=.*{problem}"):
        answers(tmp_path, raw)
