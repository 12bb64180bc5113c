"""Signatures as data, and what stands for a class that is only compared."""

from typing import Annotated, Literal

import dspy
import pytest
from annotated_types import MaxLen

from po_optimizer.persistence import components  # noqa: F401 it registers the codecs
from po_optimizer.persistence.codec.imports import Imports
from po_optimizer.persistence.codec.signatures import SignatureParts
from po_optimizer.persistence.codec.values import Decoder, Encoder


class Plain(dspy.Signature):
    """Answer, with a reason."""

    question: str = dspy.InputField(desc="what is asked")
    hints: list[str] | None = dspy.InputField(default=None)
    answer: Literal["yes", "no"] = dspy.OutputField()


class Bounded(dspy.Signature):
    """Answer in a few words."""

    question: str = dspy.InputField()
    answer: Annotated[str, MaxLen(20)] = dspy.OutputField(min_length=1)


@pytest.mark.parametrize(("signature", "is_class"), [(Plain, False), (Bounded, True)])
def test_parts_encode_as_the_class_that_they_make(signature, is_class):
    """Where pydantic would merge nothing, no class is made to be compared."""
    node = Encoder().encode(signature, "signature")
    parts = Decoder(Imports(()), {}, compare=True, parts=True).decode(node)
    whole = Decoder(Imports(()), {}).decode(node)
    assert isinstance(parts, SignatureParts) is not is_class
    assert Encoder().encode(parts, "signature") == node
    assert Encoder().encode(whole, "signature") == node
