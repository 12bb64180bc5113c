"""A key that a server repeats stands in no error."""

import traceback

import pytest

from po_optimizer.lms.visible import scrub
from po_optimizer.secret import mask

KEY = "sk-canary"


class TalkativeError(Exception):
    """An error whose text is not its arguments."""

    def __init__(self, message):
        super().__init__()
        self.message = message

    def __str__(self):
        return self.message


def raised():
    """An error behind which another one repeats the key."""
    try:
        try:
            raise TalkativeError(f"wrong key {KEY}")  # noqa: TRY301
        except TalkativeError as error:
            raise ValueError("refused", KEY, 401) from error
    except ValueError as error:
        return error


def test_whole_chain_is_masked():
    """No line of the traceback shows the key; the rest of it stays."""
    error = raised()
    scrub(error, KEY)
    text = "".join(traceback.format_exception(error))
    assert KEY not in text
    assert "wrong key ***" in text
    assert error.args == ("refused", "***", 401)


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_nothing_changes(secret):
    """A local server has no key."""
    error = raised()
    scrub(error, secret)
    assert KEY in str(error.__cause__)
    assert mask("text", secret) == "text"


def test_circular_chain_ends():
    """An error that stands behind itself is looked at once."""
    error = ValueError(KEY)
    error.__context__ = KeyError(KEY)
    error.__context__.__context__ = error
    scrub(error, KEY)
    assert error.args == ("***",)


def test_credentials_of_an_address_are_masked():
    """Whoever the address is of: a proxy's stand in its errors."""
    error = OSError("no proxy at http://user:p@ss@proxy:1/x?a=b@c, see http://a/b@c")
    scrub(error, None)
    expected = "no proxy at http://***@proxy:1/x?a=b@c, see http://a/b@c"
    assert error.args == (expected,)
