"""The Product Owner in steps that a small LM can take: a few words at a time.

An LM of 135 million parameters cannot write both documents in one answer: it copies one
sentence into every field. Here each call asks for two entries of one section of the
vision, or for the standing of one requirement; the rest follows by rule
(`assembly.py`).
"""

from importlib.resources import files
from typing import Literal

import dspy
import yaml

from po_optimizer.errors import DocumentError
from po_optimizer.product_owner.assembly import Draft, Finding, assemble
from po_optimizer.product_owner.language import language_of
from po_optimizer.product_owner.schema import Requirements
from po_optimizer.product_owner.yaml_text import read_yaml

Section = Literal[
    "target_users", "value_proposition", "key_capabilities", "success_metrics"
]
Standing = Literal["aligned", "gap", "conflict"]


class WriteSection(dspy.Signature):
    """Write two entries for one section of a product's vision.

    Name what is special to this concept, in its language.
    """

    concept: str = dspy.InputField(desc="The product idea")
    section: Section = dspy.InputField()
    entries: list[str] = dspy.OutputField()


class JudgeRequirement(dspy.Signature):
    """Judge one requirement against the product idea.

    standing: aligned if it serves the idea, gap if something is left open, conflict if
    it contradicts the idea.
    reason: in a few words, what it does for the idea, leaves open, or contradicts.
    """

    concept: str = dspy.InputField(desc="The product idea")
    requirement: str = dspy.InputField()
    standing: Standing = dspy.OutputField()
    reason: str = dspy.OutputField()


_DEMOS = files(__package__) / "demos.yml"


class ProductOwnerInSteps(dspy.Module):
    """Writes vision and review in one LM call for each section and each requirement.

    What the LM writes: target users and value proposition, and of each requirement its
    standing with a short reason. What it does not write: name, summary and lists of
    capabilities and measures (the analyst's own words), the review's verdict, summary,
    actions and narrative (from the standings). A reason that repeats another one or its
    input, or says nothing of the requirement, is left out. Constraints are given: they
    are named, not judged.

    The LM is not asked for ids, so none can be invented, nor for more than a few words,
    so that 135 million parameters can follow. They judge little: nearly every
    requirement is aligned to them. A larger LM writes better documents in one call:
    `program.ProductOwner`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.write = dspy.Predict(WriteSection)
        self.judge = dspy.Predict(JudgeRequirement)
        demos = yaml.safe_load(_DEMOS.read_text("utf-8"))
        concepts = demos["concepts"]
        self.write.demos = [
            dspy.Example(concept=concepts[name], section=section, entries=entries)
            for section, entered in demos["sections"].items()
            for name, entries in entered.items()
        ]
        self.judge.demos = [
            dspy.Example(**{**demo, "concept": concepts[demo["concept"]]})
            for demo in demos["judgements"]
        ]

    def forward(
        self, concept: str, requirements_yaml: str, existing_vision: str = ""
    ) -> dspy.Prediction:
        """A prediction with `product_vision` and `product_owner_review`, typed.

        Raises:
            ValueError: The requirements or the existing vision cannot be read.
        """
        try:
            requirements = Requirements.from_yaml(requirements_yaml)
            earlier = read_yaml(existing_vision) if existing_vision.strip() else {}
        except DocumentError as error:  # of this row; the next may be readable
            raise ValueError(str(error)) from error
        draft = self.sections(concept, requirements)
        findings = self.findings(concept, requirements)
        vision, review = assemble(concept, requirements, earlier, draft, findings)
        return dspy.Prediction(product_vision=vision, product_owner_review=review)

    def sections(self, concept: str, requirements: Requirements) -> Draft:
        """What the requirements do not say of the vision, a call for each section."""
        return {
            section: self.write(
                concept=concept,
                section=section,
                demos=_fitting(self.write.demos, concept, section),
            ).entries
            for section in _sections(requirements)
        }

    def findings(self, concept: str, requirements: Requirements) -> list[Finding]:
        """Where each requirement stands, a call for each that is no constraint."""
        demos = _fitting(self.judge.demos, concept)
        findings = []
        for requirement in requirements.wishes:
            answer = self.judge(
                concept=concept, requirement=requirement.description, demos=demos
            )
            finding = Finding(requirement, answer.standing, answer.reason)
            findings.append(finding)
        return findings


def _sections(requirements: Requirements) -> list[Section]:
    """Those that the LM writes: what the requirements say is taken from them."""
    sections: list[Section] = ["target_users", "value_proposition"]
    if not requirements.functional_requirements:
        sections.append("key_capabilities")
    if not requirements.non_functional_requirements:
        sections.append("success_metrics")
    return sections


def _fitting(
    demos: list[dspy.Example], concept: str, section: str | None = None
) -> list[dspy.Example]:
    """The demos of the section in the concept's language: a small LM copies both.

    All of the section if there are none in the language, all if there are none of it.
    """
    language = language_of([concept])
    of_section = [demo for demo in demos if demo.get("section") == section] or demos
    alike = [
        demo
        for demo in of_section
        if language_of([str(demo.get("concept"))]) == language
    ]
    return alike or of_section
