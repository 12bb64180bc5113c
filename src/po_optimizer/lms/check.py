"""What must hold before anything is paid for, found by a provider or the preflight."""

from pydantic import BaseModel, ConfigDict, JsonValue

from po_optimizer.errors import SettingError


class Check(BaseModel):
    """A setting, what it was found to be and what is allowed.

    Args:
        name: Of the check, unique in a report.
        setting: The parameter that decides it.
        value: What was found.
        allowed: What would pass.
        passed: Whether it did.
        message: What to do if it did not, or what was seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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


def check(
    name: str,
    setting: str,
    value: JsonValue,
    allowed: str,
    *,
    passed: bool | None = None,
    problem: str = "",
    remedy: str = "",
) -> Check:
    """A check that says what is wrong and what to do only if it did not pass.

    Args:
        name: Of the check.
        setting: The parameter that decides it.
        value: What was found.
        allowed: What would pass.
        passed: None: if there is no problem.
        problem: What is wrong, as a clause without a full stop.
        remedy: What to do.
    """
    if passed is None:
        passed = not problem
    sentences = [f"{problem[0].upper()}{problem[1:]}."] if problem else []
    message = " ".join([*sentences, remedy]).strip()
    return Check(
        name=name,
        setting=setting,
        value=value,
        allowed=allowed,
        passed=passed,
        message="" if passed else message,
    )
