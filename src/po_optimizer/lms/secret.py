"""Keeps keys out of errors and logs: some servers repeat the key that they refuse."""

import re

from po_optimizer.lms.visible import visible

_IN_ADDRESS = re.compile(r"(?<=://)[^/?#\s'\"]+@")  # user and password
MASK = "***"


def mask(text: str, *secrets: str | None) -> str:
    """The text without the secrets, and without the credentials of any address."""
    for secret in secrets:
        text = text.replace(secret, MASK) if secret else text
    return _IN_ADDRESS.sub(f"{MASK}@", text)


def scrub(error: BaseException, *secrets: str | None) -> None:
    """Masks the secrets in an error and in all that stands behind it.

    Tracebacks show the whole chain, and plugins write tracebacks to files. Escape
    sequences of the server are spelled out.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        current.args = tuple(_masked(value, secrets) for value in current.args)
        for name, value in vars(current).items():
            setattr(current, name, _masked(value, secrets))
        current = current.__cause__ or current.__context__


def _masked(value: object, secrets: tuple[str | None, ...]) -> object:
    return visible(mask(value, *secrets)) if isinstance(value, str) else value
