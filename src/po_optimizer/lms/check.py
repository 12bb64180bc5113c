"""What must hold before anything is paid for: of providers and the preflight."""

from collections.abc import Iterable

from pydantic import JsonValue

from po_optimizer.errors import SettingError
from po_optimizer.params.base import Result


class Check(Result):
    """A setting, its value and what is allowed.

    Args:
        name: Of the check, unique in a report.
        setting: The parameter that decides it.
        value: Of the setting, or what was measured.
        allowed: What would pass.
        passed: Whether it did.
        message: What to do if it did not, or what was seen.
    """

    name: str
    setting: str
    value: JsonValue
    allowed: str
    passed: bool
    message: str = ""

    def as_error(self) -> SettingError:
        """The error that the user of an LM reads."""
        allowed = f"it needs {self.allowed}"
        return SettingError(self.setting, self.value, allowed, self.message)

    def describe(self) -> str:
        """The failed check in a sentence, with its setting, value and remedy."""
        value = "" if self.value is None else f"={self.value!r}"
        sentence = f"{self.setting}{value}: {self.name} needs {self.allowed}."
        return f"{sentence} {self.message}".strip()


def check(
    name: str,
    setting: str,
    value: JsonValue,
    allowed: str,
    *,
    passed: bool | None = None,
    problem: str = "",
    remedy: str = "",
    note: str = "",
) -> Check:
    """Makes a check whose message depends on its outcome.

    Args:
        name: Of the check.
        setting: The parameter that decides it.
        value: Of the setting, or what was measured.
        allowed: What would pass.
        passed: None: it passes if there is no problem.
        problem: What is wrong, as a clause without a full stop.
        remedy: What to do if it did not pass.
        note: What to say if it passed.
    """
    if passed is None:
        passed = not problem
    sentence = f"{problem[0].upper()}{problem[1:]}. " if problem else ""
    return Check(
        name=name,
        setting=setting,
        value=value,
        allowed=allowed,
        passed=passed,
        message=note if passed else f"{sentence}{remedy}".strip(),
    )


def require(checks: Iterable[Check]) -> None:
    """Raises the error of the first failed check.

    Raises:
        SettingError: A check did not pass.
    """
    for finding in checks:
        if not finding.passed:
            raise finding.as_error()
