"""Signatures as data, and what stands for a class that is only compared."""

from typing import Annotated, Literal

import dspy
import pytest
from annotated_types import MaxLen
from pydantic import SkipValidation

from po_optimizer.errors import DamagedArtifactError
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


def test_type_that_is_not_validated_keeps_its_mark():
    """`SkipValidation`, which has no attributes, is metadata as any other."""
    unchecked = dspy.Signature({"n": (SkipValidation[int], dspy.OutputField())}, "Do.")
    node = Encoder().encode(unchecked, "signature")
    again = Decoder(Imports(()), {}).decode(node)
    assert isinstance(again.model_fields["n"].metadata[0], SkipValidation)


def test_demo_that_is_no_mapping_is_refused():
    """What stands where a demo's values should is named, not passed on."""
    with pytest.raises(DamagedArtifactError, match="example"):
        Decoder(Imports(()), {}).decode({"$": "example", "v": 3})
