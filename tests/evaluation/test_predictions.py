import json
import math

from pydantic import BaseModel

from po_optimizer.evaluation.predictions import PredictionRecord, json_ready
from tests.evaluation.scripted import record


class Item(BaseModel):
    """A typed output."""

    name: str


def test_typed_values_become_json() -> None:
    """Models, sets and NaN of a typed output fit into strict JSON."""
    ready = json_ready({"item": Item(name="a"), "ids": {"FR1"}, "bad": math.nan})
    assert json.loads(json.dumps(ready, allow_nan=False)) == {
        "item": {"name": "a"},
        "ids": ["FR1"],
        "bad": "NaN",
    }


def test_objects_that_json_does_not_know_become_text() -> None:
    """An output of any class is shown as its text and does not end the evaluation."""
    assert json_ready({"odd": object})["odd"].startswith("<class")


def test_records_survive_json() -> None:
    """A record read back from JSON is the record that was written."""
    made = record(3, 0.5, feedback="C002 was missed")
    assert PredictionRecord.model_validate_json(made.model_dump_json()) == made


def test_failed_counts_and_unscored_does_not() -> None:
    """A failed record is scored, an unscored one is not."""
    assert record(0, 0.0, status="failed").scored
    assert not record(0, None).scored
