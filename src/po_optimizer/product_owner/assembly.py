"""Vision and review put together, by rule, from sentences and standings.

The rules are those that the one-call program asks its LM to follow: a conflict makes
the status `needs_adjustment`, conflicts in half of the requirements `misaligned`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files

import yaml

from po_optimizer.product_owner.language import is_small, language_of
from po_optimizer.product_owner.metric.outputs import Fields, entries_of, text_of
from po_optimizer.product_owner.metric.prose import copied_share, own_words
from po_optimizer.product_owner.metric.reasons import (
    content_of,
    content_words,
    repetitions,
)
from po_optimizer.product_owner.metric.rubric import WORD
from po_optimizer.product_owner.schema import (
    ProductOwnerReview,
    ProductVision,
    Requirement,
    Requirements,
    RequirementsAlignment,
    Status,
)

Draft = Mapping[str, Sequence[str]]
"""The sections that the LM wrote, by the vision's field."""

MOST = 6  # entries of a list
OWN_WORDS = 120  # characters of a requirement's description
SUMMARY = 300  # characters
NAME = 40
ENTRY = 40  # characters that the role's `lm.bounds` leave a small LM
REASON = 60
MISALIGNED = 0.5  # share of the requirements that contradict the idea
_WORDINGS = files(__package__) / "wording.yml"
_RANKS = {
    name: rank
    for rank, names in enumerate(
        [("critical", "must", "crítica"), ("high", "alta"), ("medium", "media")]
    )
    for name in names
}


@dataclass(frozen=True)
class Finding:
    """Where a requirement stands, and why."""

    requirement: Requirement
    standing: str
    reason: str


def assemble(
    concept: str,
    requirements: Requirements,
    earlier: Fields,
    draft: Draft,
    findings: Sequence[Finding],
) -> tuple[ProductVision, ProductOwnerReview]:
    """Both documents.

    Args:
        concept: The product idea, in whose language the rules write, if it is Spanish;
            else they write English.
        requirements: What is reviewed.
        earlier: The existing vision; empty if there is none. Its name is kept, and
            those of its non-goals that no requirement speaks of.
        draft: Sections of the vision that the LM wrote.
        findings: One for each requirement that is no constraint, in their order.
    """
    wordings = yaml.safe_load(_WORDINGS.read_text("utf-8"))
    language = language_of([concept]) or language_of(requirements.texts)
    words = wordings.get(language, wordings["English"])
    contradicting = {f.requirement.id for f in findings if f.standing == "conflict"}
    vision = _vision(concept, requirements, earlier, draft, contradicting)
    findings = list(_explained(findings, concept))
    given = ", ".join(constraint.id for constraint in requirements.constraints)
    return vision, _review(vision.product_name, findings, given, words)


def _vision(
    concept: str,
    requirements: Requirements,
    earlier: Fields,
    draft: Draft,
    contradicting: Collection[str],
) -> ProductVision:
    """The vision; what contradicts the idea is no part of it."""
    written: dict[str, list[str]] = {name: [] for name in draft}
    for name, entry in _distinct(draft, concept):
        written[name].append(entry)
    demanded = content_of(requirements.texts)
    kept = entries_of(earlier.get("non_goals"))

    def descriptions(of: Iterable[Requirement]) -> list[str]:
        stand = (r.description for r in of if r.id not in contradicting)
        return [shortened(description, OWN_WORDS) for description in stand][:MOST]

    return ProductVision(
        product_name=(
            text_of(earlier.get("product_name"))
            or shortened(requirements.title or concept, NAME)
        ),
        product_summary=requirements.description.strip() or shortened(concept, SUMMARY),
        target_users=written.get("target_users", []),
        value_proposition=written.get("value_proposition", []),
        key_capabilities=descriptions(requirements.functional_requirements)
        or written.get("key_capabilities", []),
        non_goals=[goal for goal in kept if not content_words(goal) & demanded],
        success_metrics=descriptions(requirements.non_functional_requirements)
        or written.get("success_metrics", []),
        last_updated=datetime.now(UTC).date().isoformat(),
    )


def _distinct(draft: Draft, concept: str) -> Iterator[tuple[str, str]]:
    """The sections' entries that say something new of the idea, in whole words."""
    idea, said = content_words(concept), list[str]()
    for name, entries in draft.items():
        for entry in (_whole(text, ENTRY) for text in entries):
            copied = own_words(copied_share([entry], [concept])) < 1.0
            if copied or not content_words(entry) & idea:
                continue
            if not repetitions([*said, entry]):
                said.append(entry)
                yield name, entry


def _explained(findings: Iterable[Finding], concept: str) -> Iterator[Finding]:
    """The findings; a reason that is copied, repeated or beside the point is empty."""
    idea, said = _plain(concept), list[str]()
    for finding in findings:
        reason = _whole(finding.reason, REASON)
        description = finding.requirement.description
        words = content_words(reason)
        says_something = bool(words & content_of([concept, description]))
        copied = _plain(reason) in idea or _plain(reason) in _plain(description)
        if not says_something or copied or repetitions([*said, reason]):
            reason = ""
        else:
            said.append(reason)
        yield replace(finding, reason=reason)


def _review(
    name: str, findings: Sequence[Finding], given: str, words: Mapping[str, str]
) -> ProductOwnerReview:
    """The review that the findings make.

    Args:
        name: The product's.
        findings: With a reason or an empty one.
        given: The constraints' ids.
        words: In the concept's language.
    """
    if not findings:
        return _review_of_nothing(name, words)
    of: dict[str, list[Finding]] = {"aligned": [], "gap": [], "conflict": []}
    for finding in findings:
        of[finding.standing].append(finding)
    status = _status(len(of["conflict"]), len(findings))
    gaps, conflicts = _ids(of["gap"]), _ids(of["conflict"])
    counts = {"n": len(of["aligned"]), "total": len(findings)}
    summary = [words["fits"].format(**counts)]
    actions = []
    if conflicts:
        summary.append(words["conflicts"].format(ids=conflicts))
        actions.append(words["resolve"].format(ids=conflicts))
    if gaps:
        summary.append(words["gaps"].format(ids=gaps))
        actions.append(words["settle"].format(ids=gaps))
    if of["aligned"]:
        actions.append(words["first"].format(ids=_ids(_most_urgent(of["aligned"]))))
    return ProductOwnerReview(
        status=status,
        summary=summary,
        requirements_alignment=RequirementsAlignment(
            aligned=[
                f"{f.requirement.id} ({f.reason})" if f.reason else f.requirement.id
                for f in of["aligned"]
            ],
            gaps=list(_reasons(of["gap"], words["unexplained_gaps"])),
            conflicts=list(_reasons(of["conflict"], words["unexplained_conflicts"])),
        ),
        recommended_actions=actions,
        narrative=words["narrative"].format(
            name=name,
            **counts,
            gaps=len(of["gap"]),
            conflicts=len(of["conflict"]),
            verdict=words[f"verdict_{status}"],
        )
        + (words["given"].format(ids=given) if given else ""),
    )


def _review_of_nothing(name: str, words: Mapping[str, str]) -> ProductOwnerReview:
    gap = words["nothing_required"].format(name=name)
    return ProductOwnerReview(
        status="needs_adjustment",
        summary=[words["nothing_reviewed"]],
        requirements_alignment=RequirementsAlignment(
            aligned=[], gaps=[gap], conflicts=[]
        ),
        recommended_actions=[words["ask_for_requirements"]],
        narrative=words["narrative_of_nothing"].format(name=name),
    )


def _status(n_conflicts: int, n_requirements: int) -> Status:
    if not n_conflicts:
        return "aligned"
    share = n_conflicts / n_requirements
    return "misaligned" if share >= MISALIGNED else "needs_adjustment"


def _reasons(findings: Sequence[Finding], unexplained: str) -> Iterator[str]:
    """An entry for each reason, and one for the ids that have none."""
    for finding in findings:
        if finding.reason:
            yield f"{finding.requirement.id}: {finding.reason}"
    if others := _ids(finding for finding in findings if not finding.reason):
        yield unexplained.format(ids=others)


def _ids(findings: Iterable[Finding]) -> str:
    return ", ".join(finding.requirement.id for finding in findings)


def _most_urgent(findings: Sequence[Finding]) -> list[Finding]:
    """Those with the priority of the first, at most three."""
    by_rank = sorted(findings, key=lambda f: _RANKS.get(_priority(f), len(_RANKS)))
    first = _priority(by_rank[0])
    return [finding for finding in by_rank if _priority(finding) == first][:3]


def _priority(finding: Finding) -> str:
    return finding.requirement.priority.strip().casefold()


def shortened(text: str, longest: int) -> str:
    """The text's beginning in whole words, without a full stop."""
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= longest else _ended(text[:longest].split(" ")[:-1])


def _whole(text: str, longest: int) -> str:
    """The text of an LM, without the last word if the limit may have cut it."""
    words = text.rstrip(". ").split()
    if len(text) >= longest - 1 and text[-1] not in ".!?":
        words = words[:-1]
    return _ended(words)


def _ended(words: list[str]) -> str:
    while words and is_small(words[-1].rstrip(",;:")):  # no sentence ends with `the`
        words = words[:-1]
    return " ".join(words).rstrip(",;:")


def _plain(text: str) -> str:
    return " ".join(WORD.findall(text.lower()))
