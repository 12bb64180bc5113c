"""Keeps keys out of what is said: some servers repeat the key that they refuse."""

import re

from po_optimizer.lms.visible import visible

_IN_ADDRESS = re.compile(r"(?<=://)[^/?#\s'\"]+@")  # user and password
MASK = "***"


def without(secret: str | None, text: str) -> str:
    """The text with the secret masked, and the credentials of any address in it."""
    masked = text.replace(secret, MASK) if secret else text
    return _IN_ADDRESS.sub(f"{MASK}@", masked)


def scrub(error: BaseException, secret: str | None) -> None:
    """Masks the secret in an error and in all that stands behind it.

    Escape sequences of the server are spelled out.

    Tracebacks show the whole chain, and plugins write tracebacks to files.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        current.args = tuple(_masked(secret, value) for value in current.args)
        for name, value in vars(current).items():
            setattr(current, name, _masked(secret, value))
        current = current.__cause__ or current.__context__


def _masked(secret: str | None, value: object) -> object:
    return visible(without(secret, value)) if isinstance(value, str) else value
