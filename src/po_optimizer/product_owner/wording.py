"""What the rules of `assembly.py` say, in English and Spanish."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """Sentences with places for ids, counts and the product's name."""

    fits: str
    conflicts: str
    gaps: str
    first: str
    resolve: str
    settle: str
    narrative: str
    verdicts: dict[str, str]
    given: str
    unexplained_conflicts: str
    unexplained_gaps: str
    nothing_required: str
    nothing_reviewed: str
    ask_for_requirements: str
    narrative_of_nothing: str


ENGLISH = Wording(
    fits="{n} of {total} requirements serve the idea.",
    conflicts="In conflict with the idea: {ids}.",
    gaps="Not settled yet: {ids}.",
    first="Plan what has the highest priority first: {ids}.",
    resolve="Change or drop {ids} before anything is planned.",
    settle="Have the business analyst complete {ids}.",
    narrative="{name} rests on {total} requirements. {n} of them are in line with the "
    "idea, {gaps} leave something open, {conflicts} contradict it. {verdict}",
    verdicts={
        "aligned": "A person should check that nothing was missed.",
        "needs_adjustment": "The plan can be made once these are put right.",
        "misaligned": "So much speaks against the idea that the requirements should be "
        "written anew.",
    },
    given=" It has to keep to {ids}.",
    unexplained_conflicts="Conflicts that no reason was found for: {ids}",
    unexplained_gaps="Gaps that no reason was found for: {ids}",
    nothing_required='No requirement says yet what "{name}" must do.',
    nothing_reviewed="There are no requirements to review.",
    ask_for_requirements="Have the business analyst write the requirements.",
    narrative_of_nothing="For {name} there are an idea and a vision, but nothing "
    "that could be planned or tested. The review begins when the first requirement is "
    "written.",
)

SPANISH = Wording(
    fits="{n} de {total} requisitos sirven a la idea.",
    conflicts="En conflicto con la idea: {ids}.",
    gaps="Sin resolver todavía: {ids}.",
    first="Planificar primero lo de mayor prioridad: {ids}.",
    resolve="Cambiar o retirar {ids} antes de planificar.",
    settle="Pedir al analista que complete {ids}.",
    narrative="{name} se apoya en {total} requisitos. {n} de ellos siguen la idea, "
    "{gaps} dejan algo abierto y {conflicts} la contradicen. {verdict}",
    verdicts={
        "aligned": "Conviene que una persona compruebe que no falta nada.",
        "needs_adjustment": "El plan podrá hacerse cuando se corrijan.",
        "misaligned": "Es tanto lo que va contra la idea que conviene escribir de "
        "nuevo los requisitos.",
    },
    given=" Tiene que respetar {ids}.",
    unexplained_conflicts="Conflictos sin razón encontrada: {ids}",
    unexplained_gaps="Lagunas sin razón encontrada: {ids}",
    nothing_required='Ningún requisito dice todavía qué debe hacer "{name}".',
    nothing_reviewed="No hay requisitos que revisar.",
    ask_for_requirements="Pedir al analista que escriba los requisitos.",
    narrative_of_nothing="De {name} hay una idea y una visión, pero nada que se pueda "
    "planificar o probar. La revisión empieza con el primer requisito.",
)


def wording_of(language: str | None) -> Wording:
    """Spanish for Spanish, English for every other language."""
    return SPANISH if language == "Spanish" else ENGLISH
