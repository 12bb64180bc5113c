import html
import re

import pytest

from po_optimizer.datasets.previews import html_preview

_MARKDOWN = [  # of kedro-viz 12.5, which applies them to the cleaned HTML
    r"\*\*(.*?)\*\*",
    r"__(.*?)__",
    r"\*(.*?)\*",
    r"_(.*?)_",
    r"^#{1,3} (.*$)",
    r"^\d+\.\s(.+)$",
    r"^[*-]\s(.+)$",
    r"\[([^\]]+)\]\(([^)]+)\)",
    r"```(\w+)?\n([\s\S]*?)```",
    r"`([^`]+)`",
]


@pytest.mark.parametrize(
    "page",
    [
        "<td>requirements_yaml</td><td>product_owner_review</td>",
        "<p>**bold** *a* __init__</p>",
        "<pre># Title\n- one\n1. two\n\n* three</pre>",
        "<p>[click](http://evil.example)</p><td>![](javascript:x)</td>",
        "<p>[a</p><p>b](http://evil.example) `code`</p>",
        '<div class="keep_baseline" id="a">target_rubric</div>',
    ],
)
def test_nothing_is_taken_for_markdown(page):
    """None of the patterns that kedro-viz replaces is found."""
    shown = html_preview(page)
    assert not any(re.search(each, shown, re.MULTILINE) for each in _MARKDOWN)


def test_text_is_the_same():
    """Tags aside, the reader sees the text, and in `pre` its lines."""
    shown = html_preview("<p>a_b\nc</p><pre>d_e\n\n  f * g</pre>")
    plain = re.sub(r"<[^>]*>", "", shown.replace("<br>", "\n"))
    assert html.unescape(plain) == "a_b cd_e\n\n  f * g"


def test_scripts_styles_and_head_are_left_out():
    """What kedro-viz removes is not published either."""
    page = "<html><head><style>b</style></head><script>x > 1</script><p>a</p></html>"
    assert html_preview(page) == "<html><p>a</p></html>"
