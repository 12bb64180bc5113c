"""What the rules of `assembly.py` say, in English and Spanish."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml


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


_WORDINGS = files(__package__) / "wording.yml"


@cache
def wording_of(language: str | None) -> Wording:
    """Spanish for Spanish, English for every other language."""
    wordings = yaml.safe_load(_WORDINGS.read_text("utf-8"))
    return Wording(**wordings.get(language, wordings["English"]))
