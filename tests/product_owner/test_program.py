import json
import pickle
from typing import Any

import dspy
from dspy.utils import DummyLM

from po_optimizer.product_owner.program import ProductOwner, WriteVisionAndReview
from po_optimizer.product_owner.schema import ProductOwnerReview, ProductVision
from tests.product_owner.records import REQUIREMENTS, review, vision


def answer(lm_output: dict[str, Any]) -> dspy.Prediction:
    """What the program makes of one LM answer."""
    lm = DummyLM([{key: json.dumps(part) for key, part in lm_output.items()}])
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
        return ProductOwner()(concept="Lend tools", requirements_yaml=REQUIREMENTS)


def test_outputs_are_typed() -> None:
    """The LM's JSON arrives as the pydantic models."""
    prediction = answer({"product_vision": vision(), "product_owner_review": review()})
    assert prediction.product_vision == ProductVision.model_validate(vision())
    assert prediction.product_owner_review == ProductOwnerReview.model_validate(
        review()
    )


def test_it_has_one_predictor() -> None:
    """One LM call writes both documents: the optimizer has one prompt to improve."""
    assert [name for name, _ in ProductOwner().named_predictors()] == ["write"]


def test_signature_is_importable() -> None:
    """The signature pickles by reference: other processes find it."""
    assert pickle.loads(pickle.dumps(WriteVisionAndReview)) is WriteVisionAndReview  # noqa: S301
