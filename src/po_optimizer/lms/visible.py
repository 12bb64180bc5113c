r"""Text of others as it can be shown: no key in it, and nothing that steers a terminal.

Some servers repeat the key that they refuse. Servers and answers may hold escape
sequences that set a title, ring, hide what they print, make links or reverse its
direction: they are shown as their escapes, as `\x1b`.
"""

import re
from typing import Any, TypeVar

from po_optimizer.errors import causes
from po_optimizer.secret import mask

T = TypeVar("T")

# C0 but tab and line feed, DEL and C1, marks and overrides of direction, invisible
# separators and tags, line and paragraph separator, half characters
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
)
# of libraries, about their own arguments
_ADVICE = re.compile(r"\n\n  |\sTraceback \(|\. Handle with `|; this is lm15's")


def visible(text: str) -> str:
    r"""The text with each character that steers or hides as its escape (`\x1b`)."""
    return _STEERING.sub(lambda match: ascii(match.group())[1:-1], text)


def visible_data(value: T) -> T:
    """JSON-ready data whose texts are visible."""
    cleaned: Any = value
    if isinstance(value, str):
        cleaned = visible(value)
    elif isinstance(value, dict):
        cleaned = {visible_data(key): visible_data(item) for key, item in value.items()}
    elif isinstance(value, list):
        cleaned = [visible_data(item) for item in value]
    return cleaned  # type: ignore[no-any-return]


def first_words(error: BaseException, most: int, *secrets: str | None) -> str:
    """The text of an error without what libraries add to it, in `most` characters."""
    text = _ADVICE.split(str(error), maxsplit=1)[0]
    return visible(mask(text, *secrets))[:most]


def scrub(error: BaseException, *secrets: str | None) -> None:
    """Makes an error, and all that stands behind it, visible and free of the secrets.

    Tracebacks show the whole chain, and plugins write tracebacks to files.
    """

    def clean(value: object) -> object:
        return visible(mask(value, *secrets)) if isinstance(value, str) else value

    for cause in causes(error):
        cause.args = tuple(map(clean, cause.args))
        for name, value in vars(cause).items():
            setattr(cause, name, clean(value))
