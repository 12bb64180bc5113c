"""Requirement ids as reviews write them: FR001, FR-01, fr_1 are the same."""

import re
from collections.abc import Iterable

from po_optimizer.product_owner.schema import Requirements

_NUMBERED = re.compile(r"(.*?)[-_ ]?([0-9]+(?:\.[0-9]+)*)")
_ALWAYS_AN_ID = ("FR", "NFR")  # cited though no requirement is called so: invented


class RequirementIds:
    """Finds the requirements that a text names, and the ids that do not exist."""

    def __init__(self, requirements: Requirements) -> None:
        self._spellings: dict[str, str] = {}
        self.descriptions = {
            requirement.id: requirement.description
            for requirement in requirements.every
        }
        literal, prefixes = [], set(_ALWAYS_AN_ID)
        for requirement in requirements.every:
            numbered = _NUMBERED.fullmatch(requirement.id)
            if numbered and numbered[1]:
                prefixes.add(numbered[1])
            else:  # `LOGIN`, or a bare number: only as it is written
                literal.append(re.escape(requirement.id))
            self._spellings[_canonical(requirement.id)] = requirement.id
        self._pattern = re.compile(
            rf"(?<![^\W_])(?:{_any_of(literal)}|{_numbered(prefixes)})(?![^\W_])",
            re.IGNORECASE,
        )

    def __len__(self) -> int:
        """The number of requirements."""
        return len(self.descriptions)

    def named_in(self, entries: Iterable[str]) -> frozenset[str]:
        """The ids of existing requirements in the entries, in their own spelling."""
        cited = map(_canonical, self._cited(entries))
        return frozenset(
            self._spellings[name] for name in cited if name in self._spellings
        )

    def invented_in(self, entries: Iterable[str]) -> frozenset[str]:
        """The ids in the entries that no requirement has, in capitals."""
        cited = self._cited(entries)
        return frozenset(
            name.upper() for name in cited if _canonical(name) not in self._spellings
        )

    def described(self, ids: Iterable[str]) -> str:
        """The ids, each with its requirement's description where there is one."""
        texts = self.descriptions
        return ", ".join(
            f'{name} ("{texts[name]}")' if name in texts else name
            for name in sorted(ids)
        )

    def _cited(self, entries: Iterable[str]) -> list[str]:
        return [
            match[0] for entry in entries for match in self._pattern.finditer(entry)
        ]


def _canonical(name: str) -> str:
    """An id without letter case, separator before the number and leading zeros."""
    numbered = _NUMBERED.fullmatch(name)
    if not numbered:
        return name.casefold()
    numbers = (number.lstrip("0") or "0" for number in numbered[2].split("."))
    return f"{numbered[1].casefold()} {'.'.join(numbers)}"


def _any_of(patterns: Iterable[str]) -> str:
    longest_first = sorted(patterns, key=len, reverse=True)
    return f"(?:{'|'.join(longest_first)})" if longest_first else "(?!)"


def _numbered(prefixes: Iterable[str]) -> str:
    return rf"{_any_of(map(re.escape, prefixes))}[-_ ]?[0-9]+(?:\.[0-9]+)*"
