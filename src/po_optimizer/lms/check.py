"""One check of the preflight, passed or not, in words that name the setting."""

from pydantic import BaseModel, ConfigDict, JsonValue


class Check(BaseModel):
    """What was looked at, what is allowed, what came.

    Args:
        name: Of the check, unique in a report.
        setting: The parameter that decides it.
        value: What was found.
        allowed: What would pass, in words.
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


def check(
    name: str,
    setting: str,
    value: JsonValue,
    allowed: str,
    *,
    passed: bool,
    remedy: str = "",
) -> Check:
    """A check whose message is the remedy, if it did not pass."""
    return Check(
        name=name,
        setting=setting,
        value=value,
        allowed=allowed,
        passed=passed,
        message="" if passed else remedy,
    )
