"""The records of the role return_form are right, and its metric tells how right."""

import json
import re
from collections import Counter

import dspy
import pytest

from po_optimizer.params.project import DataPrepParams, RoleParams
from po_optimizer.records.splits import split_records
from po_optimizer.roles.record import load_record_type
from return_form.role import FIELDS, FormFiller, form_metric
from tests.faces.project import ROOT

RECORDS = [
    json.loads(line)
    for line in (ROOT / "roles/return_form/records.jsonl").read_text().splitlines()
]
_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)
NUMBERS = {word: number for number, word in enumerate(_WORDS.split(), start=1)} | {
    **{"both": 2, "couple": 2, "pair": 2, "trio": 3, "half a dozen": 6, "dozen": 12},
    **{"twenty-four": 24, "forty": 40, "hundred": 100},
}
NOT_A_PRODUCT = {
    *("red", "blue", "green", "navy", "yellow", "small", "big", "large"),
    *("norvik", "lindqvist", "tarnow", "fenwick", "kestrel", "perla", "brisa", "hexa"),
    *("oakline", "mokko", "stavang", "quillo", "brandt", "lumo", "pipit", "fjellrev"),
    *("zupa", "tarn", "scouty", "sollys", "lufti", "tello"),
}


def test_forms_follow_from_the_messages():
    """Each field has the house's form, and the message says what is in it."""
    wrong = [record for record in RECORDS if not all(_facts(record))]
    assert wrong == []


def _facts(record):
    message, product = record["message"].casefold(), record["product"]
    number = re.fullmatch(r"AF-(\d{5})", record["order_number"])
    yield set(record) == {"message", *FIELDS}
    yield number[1] in re.sub(r"[\s.]", "", message)
    yield re.fullmatch(r"[a-z][a-z-]+( [a-z-]+)*", product)
    yield not NOT_A_PRODUCT & set(re.split(r"\W", product))
    # in the plural, and not always in one piece
    yield all(word[:-2] in message for word in product.split())
    yield type(record["quantity"]) is int
    yield record["quantity"] in {1, *_numbers(message)}


def _numbers(message):
    digits = {int(digits) for digits in re.findall(r"\d+", message)}
    words = {n for word, n in NUMBERS.items() if re.search(rf"\b{word}", message)}
    return digits | words


def test_records_are_many_and_of_many_kinds():
    """Order numbers are written in 12 forms or more; three in ten return several."""
    forms = Counter(_form(record) for record in RECORDS)
    assert len(RECORDS) == 200
    assert len(forms) >= 12
    assert forms["AF-"] < len(RECORDS) / 2
    assert sum(record["quantity"] > 1 for record in RECORDS) >= 60
    assert len({record["order_number"] for record in RECORDS}) == len(RECORDS)
    assert len({record["product"] for record in RECORDS}) > 0.95 * len(RECORDS)


def _form(record):
    """What stands before the digits: of the house's own form, `AF-`."""
    digits = r"\s?".join(record["order_number"].removeprefix("AF-"))
    found = re.search(rf"(\b[aA]\s?[fF]\W?\s?_?|\W?){digits}", record["message"])
    return found[1]


def test_no_two_messages_are_alike():
    """data_prep leaves them all; two splits share next to nothing."""
    role = RoleParams(program="return_form.role:FormFiller")
    sizes = {"train": 80, "val": 60, "test": 60}
    params = DataPrepParams(sizes=sizes)
    splits = split_records(RECORDS, load_record_type(role), params)
    assert not splits.rejected
    assert splits.report["largest_similarity"]["similarity"] < 0.15


def test_metric_counts_the_fields_that_are_right():
    """A third for each; the feedback names what is wrong, with both values."""
    example = dspy.Example(order_number="AF-40312", product="kettle", quantity=1)
    right = dspy.Prediction(**example)
    assert form_metric(example, right) == 1.0
    wrong = dspy.Prediction(order_number="40312", product="Kettle", quantity=1)
    score = form_metric(example, wrong)
    assert score == pytest.approx(1 / 3)
    assert score.components == {"order_number": 0.0, "product": 0.0, "quantity": 1.0}
    assert "product is 'kettle', not 'Kettle'" in score.feedback
    assert form_metric(example, dspy.Prediction()).unusable


def test_program_is_one_predictor_with_the_forms_fields():
    """One LM call gives the three."""
    ((_, predictor),) = FormFiller().named_predictors()
    assert tuple(predictor.signature.output_fields) == FIELDS
