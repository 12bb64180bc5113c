"""The Product Owner as a DSPy program: the baseline that the optimizer improves."""

import dspy

from po_optimizer.product_owner.schema import ProductOwnerReview, ProductVision
from po_optimizer.product_owner.steps import ProductOwnerInSteps


class WriteVisionAndReview(dspy.Signature):
    """You are the Product Owner. Write the product vision and review the requirements.

    The vision follows the concept and keeps what still holds of the existing vision.
    The review judges every requirement by its id against concept and vision:
    aligned: it serves them ("FR001 (why)").
    gaps: something is missing or vague; name the ids concerned.
    conflicts: it contradicts the concept, a non-goal, a constraint or another
    requirement; name all ids concerned and say why.
    Cite only ids that exist. status: aligned if nothing contradicts,
    needs_adjustment if single requirements must change, misaligned if the core of
    the concept is contradicted. Write in the language of the concept, about this
    product only.
    """

    concept: str = dspy.InputField(desc="The product idea")
    requirements_yaml: str = dspy.InputField(desc="The business analyst's requirements")
    existing_vision: str = dspy.InputField(desc="Earlier vision; may be empty")
    product_vision: ProductVision = dspy.OutputField(desc="The updated product vision")
    product_owner_review: ProductOwnerReview = dspy.OutputField(
        desc="The review of the requirements"
    )


class ProductOwner(dspy.Module):
    """Writes a product vision and a review of the requirements, in one LM call."""

    def __init__(self) -> None:
        super().__init__()
        self.write = dspy.Predict(WriteVisionAndReview)

    def forward(
        self, concept: str, requirements_yaml: str, existing_vision: str = ""
    ) -> dspy.Prediction:
        """A prediction with `product_vision` and `product_owner_review`, typed."""
        return self.write(
            concept=concept,
            requirements_yaml=requirements_yaml,
            existing_vision=existing_vision,
        )


def product_owner() -> dspy.Module:
    """The program that fits the LM in `dspy.settings`.

    In steps for one whose answers are bounded (`lm.bounds`), as those of the small
    embedded ones are; else in one call.
    """
    params = getattr(dspy.settings.lm, "params", None)
    bounded = getattr(params, "bounds", None) is not None
    return ProductOwnerInSteps() if bounded else ProductOwner()
