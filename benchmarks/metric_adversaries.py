"""What cheap answers earn by the metric, beside an honest mediocre review.

Run it with `python -m benchmarks.metric_adversaries`; it asks no LM and takes about a
minute. The first part of the adversaries knows the reference and spoils it; the second
does not, and plays for points: it copies, lists, guesses and fills in templates.
"""

import random
import re
from collections.abc import Callable
from typing import Any

from benchmarks.metric_families import read_records, report

from po_optimizer.product_owner.metric import score_outputs
from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.record import ProductOwnerRecord
from po_optimizer.product_owner.schema import STATUSES, Requirement

Answer = tuple[dict[str, Any], dict[str, Any]]
"""Vision and review."""
DATED = {"last_updated": "2025-02-24"}
LISTS = ("target_users", "value_proposition", "key_capabilities", "success_metrics")
ENGLISH = {
    "against": "{} does not fit with {}.",
    "open": "{} leaves open how.",
    "summary": ("Most of it serves {}.", "Open for now: {}."),
    "actions": ("Clarify {} with the analyst.", "Confirm {}."),
    "narrative": "The requirements carry the idea of {} well enough for a first"
    " version, but before the work starts somebody has to settle {}, and then {}.",
    "the": "the ",
}
SPANISH = {
    "against": "{} no encaja con {}.",
    "open": "{} deja abierto el modo.",
    "summary": ("Casi todo sirve a {}.", "Queda abierto: {}."),
    "actions": ("Aclarar {} con la analista.", "Confirmar {}."),
    "narrative": "Los requisitos llevan bastante bien la idea de {} a una primera"
    " versión, pero antes de que empiece el trabajo alguien debe resolver {}, y {}.",
    "the": "la ",
}


class Case:
    """A record with what an adversary needs of it."""

    def __init__(self, record: ProductOwnerRecord, number: int) -> None:
        self.record = record
        self.rng = random.Random(7000 + number)  # noqa: S311
        self.every = record.input.requirements.every
        self.by_id = {one.id: one for one in self.every}
        self.ids = RequirementIds(record.input.requirements)
        self.text = SPANISH if record.input.language == "es" else ENGLISH

    @property
    def reference(self) -> Answer:
        """The reference's vision and review, to be changed."""
        output = self.record.output
        return (
            output.product_vision.model_dump(),
            output.product_owner_review.model_dump(),
        )

    def quoted(self, one: Requirement, n_words: int = 6) -> str:
        """Its id and how its description begins."""
        return f"{one.id} ({' '.join(one.description.rstrip('.').split()[:n_words])})"

    def words(self, n: int, text: str = "") -> str:
        """So many longer words of the requirements, each with an article."""
        source = text or " ".join(self.record.input.requirements.texts)
        words = re.findall(r"[^\W\d_]{5,}", source.lower())
        chosen = words[:n] if text else self.rng.sample(words, min(n, len(words)))
        return ", ".join(self.text["the"] + word for word in chosen)

    def named(self, entry: str) -> list[Requirement]:
        """The requirements that an entry names."""
        return [self.by_id[one] for one in sorted(self.ids.named_in([entry]))]


def honest(case: Case) -> Answer:
    """Right status in two of three; half of what there is, in few words; one alarm."""
    vision, review = case.reference
    rng, alignment = case.rng, review["requirements_alignment"]
    conflicts = [e for e in alignment["conflicts"] if rng.random() < 0.5]
    gaps = [e for e in alignment["gaps"] if rng.random() < 0.5]
    conflicts = [_conflict(case, case.named(entry)) for entry in conflicts]
    gaps = [_gap(case, case.named(entry)) for entry in gaps]
    gaps.append(_gap(case, [rng.choice(case.every)]))
    if rng.random() > 2 / 3:
        steps = (1,) if review["status"] != STATUSES[1] else (0, 2)
        review["status"] = STATUSES[rng.choice(steps)]
    if review["status"] == "aligned":
        conflicts = []
    elif not any(conflicts):
        conflicts = [_conflict(case, rng.sample(case.every, 2))]
    for name in LISTS:
        vision[name] = vision[name][: (len(vision[name]) + 1) // 2]
    review.update(
        _template(case, review["status"], filter(None, conflicts), filter(None, gaps))
    )
    return vision, review


def _conflict(case: Case, named: list[Requirement]) -> str:
    if not named:
        return ""
    other = case.quoted(named[1]) if len(named) > 1 else case.words(1)
    return case.text["against"].format(case.quoted(named[0]), other)


def _gap(case: Case, named: list[Requirement]) -> str:
    return case.text["open"].format(case.quoted(named[0])) if named else ""


def _template(case: Case, status: str, conflicts: Any, gaps: Any) -> dict[str, Any]:
    """A review that loses no point of the rubric, its texts filled with key words."""
    text, words = case.text, case.words
    return {
        "status": status,
        "summary": [line.format(words(3)) for line in text["summary"]],
        "requirements_alignment": {
            "aligned": [case.quoted(one) for one in case.every],
            "gaps": list(gaps),
            "conflicts": list(conflicts),
        },
        "recommended_actions": [line.format(words(2)) for line in text["actions"]],
        "narrative": text["narrative"].format(words(4), words(4), words(3)),
    }


def _spoiled(case: Case, change: Callable[[Case, str], str], around: bool) -> Answer:
    """The reference with every reason changed, and with `around` every other text."""
    vision, review = case.reference
    alignment = review["requirements_alignment"]
    for name in ("gaps", "conflicts"):
        alignment[name] = [change(case, entry) for entry in alignment[name]]
    if around:
        for name in ("summary", "recommended_actions"):
            review[name] = [change(case, entry) for entry in review[name]]
        review["narrative"] = change(case, review["narrative"])
    return vision, review


def _bananas(case: Case, entry: str) -> str:
    return f"{_bare(case, entry)} because bananas are yellow"


def _shuffled(case: Case, entry: str) -> str:
    return " ".join(case.rng.sample(entry.split(), len(entry.split())))


def _backwards(case: Case, entry: str) -> str:
    return " ".join(reversed(entry.split()))


def _boilerplate(case: Case, entry: str) -> str:
    title = case.record.input.requirements.title
    return (
        f"{', '.join(one.id for one in case.named(entry))} are not what {title} needs"
    )


def _bare(case: Case, entry: str) -> str:
    return ", ".join(one.id for one in case.named(entry))


def reasons_swapped(case: Case) -> Answer:
    """Each entry keeps its ids and takes the next one's words."""
    _, review = case.reference
    alignment = review["requirements_alignment"]
    entries = [*alignment["gaps"], *alignment["conflicts"]]
    after = dict(zip(entries, [*entries[1:], *entries[:1]], strict=True))
    id_like = re.compile("|".join(map(re.escape, case.by_id)) or "(?!)")

    def swap(case: Case, entry: str) -> str:
        return f"{_bare(case, entry)}: {id_like.sub('this', after[entry])}"

    return _spoiled(case, swap, around=False)


def _vision(case: Case, text: Callable[[int], str]) -> dict[str, Any]:
    lists = {name: [text(4), text(4)] for name in (*LISTS, "non_goals")}
    title = case.record.input.requirements.title or "Product"
    return {"product_name": title, "product_summary": text(20), **lists, **DATED}


def _copied(case: Case) -> dict[str, Any]:
    """A vision of the requirements' own sentences."""
    return _vision(case, lambda n: " ".join(case.record.input.requirements.texts[-n:]))


def _keywords(case: Case) -> dict[str, Any]:
    """A vision of the requirements' key words."""
    return _vision(case, case.words)


def _salad(case: Case) -> dict[str, Any]:
    """A vision of the requirements' words, shuffled."""
    words = " ".join(case.record.input.requirements.texts).split()
    return _vision(
        case, lambda n: " ".join(case.rng.sample(words, min(2 * n, len(words))))
    )


def _fragments(case: Case) -> dict[str, Any]:
    """A vision of three words here and three words there."""
    words = " ".join(case.record.input.requirements.texts).split()

    def text(n: int) -> str:
        starts = (case.rng.randrange(len(words)) for _ in range(n // 2))
        return " for ".join(" ".join(words[start : start + 3]) for start in starts)

    return _vision(case, text)


def copied_and_listed(case: Case) -> Answer:
    """Requirements into vision and lists, every id everywhere, needs_adjustment."""
    lines = [f"{one.id}: {one.description}" for one in case.every]
    review = _template(case, "needs_adjustment", lines, lines)
    return _copied(case), {**review, "summary": lines, "recommended_actions": lines}


def every_id_with_key_words(case: Case) -> Answer:
    """Every requirement is a gap and a conflict, for its own key words."""
    entries = [f"{one.id}: {case.words(3, one.description)}" for one in case.every]
    return _keywords(case), _template(case, "needs_adjustment", entries, entries)


def random_half(case: Case) -> Answer:
    """Half of the requirements against a random constraint each."""
    half = case.rng.sample(case.every, len(case.every) // 2)
    others = case.record.input.requirements.constraints or case.every
    pairs = [_pair(case, one, case.rng.choice(others)) for one in half]
    return _keywords(case), _template(case, "needs_adjustment", pairs, pairs)


def _pair(case: Case, one: Requirement, other: Requirement) -> str:
    sides = (case.words(3, each.description) for each in (one, other))
    first, second = sides
    return case.text["against"].format(f"{one.id}: {first}", f"{other.id}: {second}")


def closest_constraint(case: Case) -> Answer:
    """The requirement and the constraint that share the most words."""
    given = case.record.input.requirements
    constraints = given.constraints or given.every
    functional = given.functional_requirements or given.every
    pairs = [(one, other) for one in functional for other in constraints]
    one, other = max(pairs, key=lambda pair: _shared(*pair))
    entry = _pair(case, one, other)
    return _keywords(case), _template(case, "needs_adjustment", [entry], [entry])


def _shared(one: Requirement, other: Requirement) -> int:
    sides = [
        set(re.findall(r"\w{5,}", each.description.lower())) for each in (one, other)
    ]
    return len(sides[0] & sides[1])


def _constant(status: str, vision: Callable[[Case], dict[str, Any]]) -> Any:
    """One status for all, no conflict, one random gap."""

    def answer(case: Case) -> Answer:
        gap = _gap(case, [case.rng.choice(case.every)])
        return vision(case), _template(case, status, [], [gap])

    return answer


ADVERSARIES: dict[str, Callable[[Case], Answer]] = {
    "right ids, yellow bananas": lambda c: _spoiled(c, _bananas, around=False),
    "right ids, bananas in all texts": lambda c: _spoiled(c, _bananas, around=True),
    "right ids, no reason": lambda c: _spoiled(c, _bare, around=False),
    "right ids, one reason for all": lambda c: _spoiled(c, _boilerplate, around=False),
    "right ids, reasons swapped": reasons_swapped,
    "reasons shuffled": lambda c: _spoiled(c, _shuffled, around=False),
    "all texts shuffled": lambda c: _spoiled(c, _shuffled, around=True),
    "all texts backwards": lambda c: _spoiled(c, _backwards, around=True),
    "copied, every id listed": copied_and_listed,
    "every id with key words": every_id_with_key_words,
    "random half against constraints": random_half,
    "closest constraint": closest_constraint,
    "aligned, copied vision": _constant("aligned", _copied),
    "aligned, word salad": _constant("aligned", _salad),
    "aligned, fragments": _constant("aligned", _fragments),
    "aligned, key words": _constant("aligned", _keywords),
    "needs_adjustment, key words": _constant("needs_adjustment", _keywords),
    "misaligned, key words": _constant("misaligned", _keywords),
}


def main() -> None:
    """Prints one line an answer: objective (min, mean, max), rubric, components."""
    answers = {"reference": lambda case: case.reference, "honest, mediocre": honest}
    for name, answer in {**answers, **ADVERSARIES}.items():
        scores = []
        for number, record in enumerate(read_records()):
            vision, review = answer(Case(record, number))
            reference = record.output.product_owner_review
            given = record.input.requirements
            scores.append(score_outputs(given, vision, review, reference))
        report(name, scores)


if __name__ == "__main__":
    main()
