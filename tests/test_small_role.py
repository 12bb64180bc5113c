"""The tests' own role behaves as its tests expect: fakes are tested too."""

import dspy
import pytest

from po_optimizer.params.project import RoleParams
from po_optimizer.roles.build import load_metric, make_program
from po_optimizer.roles.record import load_record_type
from tests import small_role
from tests.small_role import Label, LabelRecord, label_metric, raw_record

ROLE = RoleParams.model_validate(small_role.ROLE)


def test_role_is_loaded_by_import_path():
    """Another role needs no change outside the parameters."""
    assert list(dict(make_program(ROLE).named_predictors())) == ["label"]
    assert load_metric(ROLE) is label_metric
    assert load_record_type(ROLE) is LabelRecord


@pytest.mark.parametrize(
    ("product", "score"), [("Item1", 1.0), ("the item1", 1.0), ("Other", 0.5)]
)
def test_metric_gives_half_for_the_right_product(product, score):
    """A readable label is worth 0.5, the right product the rest."""
    example = LabelRecord.model_validate(raw_record(1)).to_example()
    prediction = dspy.Prediction(label=Label(product=product, tags=["x"]))
    assert label_metric(example, prediction) == score


def test_metric_gives_an_empty_prediction_nothing():
    """Unusable output is 0.0, with the reason."""
    example = LabelRecord.model_validate(raw_record(1)).to_example()
    score = label_metric(example, dspy.Prediction())
    assert (score.value, score.unusable) == (0.0, "there is no label")
