"""The Product Owner in steps that a small LM can take: a few words at a time.

An LM of 135 million parameters cannot write both documents in one answer: it copies one
sentence into every field. Here each call asks for two entries of one section of the
vision, or for the standing of one requirement; the rest follows by rule
(`assembly.py`).
"""

from typing import Literal

import dspy

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


_CHOIR = (
    "A shared calendar for a village choir: who comes to which rehearsal, and who "
    "gives whom a lift. No adverts."
)
_MUSEUM = "A ticket desk for a small museum that sells when the network is down, too."
_GARDEN = (
    "Un cuaderno para el huerto escolar: qué se sembró, quién riega y cuándo se "
    "cosecha. Los alumnos no crean cuentas."
)
_TOYS = (
    "A lending list for a toy library: families borrow toys for two weeks and say when "
    "one is broken."
)
_TRAILS = (
    "Hikers report fallen trees, and trail keepers see what is still to be cleared."
)
_SECTIONS: dict[Section, list[tuple[str, list[str]]]] = {
    "target_users": [
        (_GARDEN, ["Alumnos", "Profesores del huerto"]),
        (_TOYS, ["Families", "Volunteers"]),
        (_CHOIR, ["Singers", "The conductor"]),
        (_MUSEUM, ["Ticket desk staff", "Visitors"]),
        (_TRAILS, ["Hikers", "Trail keepers"]),
    ],
    "value_proposition": [
        (
            _GARDEN,
            ["Ninguna planta se queda sin agua", "Cada clase sabe lo que cosecha"],
        ),
        (_TOYS, ["Broken toys are mended", "Families try many toys"]),
        (
            _CHOIR,
            [
                "The conductor knows who will sing",
                "Nobody stays at home without a lift",
            ],
        ),
        (_MUSEUM, ["No visitor is sent away", "The takings are right every evening"]),
        (_TRAILS, ["Trails are cleared sooner", "No keeper drives out twice"]),
    ],
    "key_capabilities": [
        (_GARDEN, ["Anotar lo que se sembró", "Repartir los turnos de riego"]),
        (_TOYS, ["Reserving a toy", "Reporting a broken toy"]),
        (_CHOIR, ["Marking who comes to a rehearsal", "Offering a lift"]),
        (_MUSEUM, ["Selling tickets offline", "Counting them once the line is back"]),
    ],
    "success_metrics": [
        (_GARDEN, ["Todos los turnos de riego cubiertos", "Una cosecha por clase"]),
        (_TOYS, ["Nine in ten toys come back in time", "No toy is out while broken"]),
        (_CHOIR, ["All singers answer before a rehearsal", "Every lift is found"]),
        (_MUSEUM, ["No sale lost in a year", "Less than a minute for each ticket"]),
    ],
}
_JUDGEMENTS: list[tuple[str, str, Standing, str]] = [
    (
        _GARDEN,
        "El cuaderno muestra a quién le toca regar cada día.",
        "aligned",
        "el huerto necesita saber quién riega",
    ),
    (
        _GARDEN,
        "Cada alumno crea una cuenta con su correo.",
        "conflict",
        "los alumnos no deben crear cuentas",
    ),
    (
        _GARDEN,
        "Se anota qué se sembró en cada bancal.",
        "aligned",
        "sin esa nota nadie sabe qué se sembró",
    ),
    (
        _CHOIR,
        "Singers mark for each rehearsal whether they come.",
        "aligned",
        "the choir sees who comes to a rehearsal",
    ),
    (
        _MUSEUM,
        "Without a network connection the desk is closed.",
        "conflict",
        "a closed desk sells no tickets when the network is down",
    ),
    (
        _CHOIR,
        "The calendar loads quickly.",
        "gap",
        "how quickly the calendar loads is left open",
    ),
    (
        _MUSEUM,
        "Visitors pay by cash or by card.",
        "aligned",
        "paying is part of selling tickets at the desk",
    ),
    (
        _CHOIR,
        "Drivers enter how many seats are free.",
        "aligned",
        "singers without a car find a lift",
    ),
]


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
        self.write.demos = [
            dspy.Example(concept=concept, section=section, entries=entries)
            for section, entered in _SECTIONS.items()
            for concept, entries in entered
        ]
        self.judge.demos = [
            dspy.Example(
                concept=concept,
                requirement=requirement,
                standing=standing,
                reason=reason,
            )
            for concept, requirement, standing, reason in _JUDGEMENTS
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
