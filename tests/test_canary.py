"""The search for secrets finds them."""

import base64

from tests.canary import KEY, holders


def test_search_finds_a_secret_in_any_spelling(tmp_path):
    """The canary would sing: plain, in a URL, in base64."""
    (tmp_path / "a").write_text(f"key={KEY}")
    (tmp_path / "b").write_text(base64.b64encode(KEY.encode()).decode())
    (tmp_path / "c").write_text("nothing")
    found = holders(tmp_path, [KEY, "p@ss word"], b"https://u:p%40ss%20word@host")
    assert len(found) == 3
