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
