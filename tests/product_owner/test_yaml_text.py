import json
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from po_optimizer.errors import DocumentError
from po_optimizer.product_owner import yaml_text
from po_optimizer.product_owner.yaml_text import read_yaml, write_yaml

ROOT = Path(__file__).parents[2]


class Note(BaseModel):
    """A document with one text and one list."""

    zeta: str
    alpha: list[str]


@pytest.mark.parametrize("scalar", ["No", "001", "1.10", "0x1F", "on", "1e3", "="])
def test_scalars_stay_as_written(scalar: str) -> None:
    """Nothing is taken for a truth value or a number: an id 001 stays 001."""
    assert read_yaml(f"key: {scalar}") == {"key": scalar}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2025-02-24", "2025-02-24"),
        ("2025-02-24 10:00:00", "2025-02-24T10:00:00"),
        ("2025-02-24T10:00:00Z", "2025-02-24T10:00:00+00:00"),
        ("2025-13-45", "2025-13-45"),
        ("!!timestamp soon", "soon"),
    ],
)
def test_timestamps_become_iso_text(written: str, read: str) -> None:
    """Unquoted timestamps arrive as ISO 8601 text, impossible ones as written."""
    assert read_yaml(f"at: {written}") == {"at": read}


def test_nothing_is_none() -> None:
    """A key without a value is None, not the text null."""
    assert read_yaml("a:\nb: ~\nc: null") == {"a": None, "b": None, "c": None}


@pytest.mark.parametrize(
    "text",
    [
        "```yaml\na: b\n```",
        "```\na: b\n```\n",
        "Here it is:\n\n```yaml\na: b\n```\nDone.",
        "```yaml\na: b",
        "---\na: b\n",
    ],
)
def test_fences_are_stripped(text: str) -> None:
    """Markdown fences and the talk around them are no part of the document."""
    assert read_yaml(text) == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("a: 1\nb: [1", 2, 6, "expected ',' or ']'"),
        ("a:\n\tb: 1", 2, 1, "any token, '\\t': indent with spaces"),
        ("a: 1\nb: @x", 2, 4, "any token, '@': put it in quotes"),
        ("null: 1\n~: 2", 2, 1, "stands twice"),
        ("? [a]\n: 1", 1, 3, "a key is no text"),
        ("a: 1\n---\nb: 2", 2, 1, "found another document"),
        ("a: !!map [b]", 1, 4, "could not determine"),
        ("a: 1\nb: 2\na: 3", 3, 1, "the key 'a' stands twice"),
        ("x\n```\na: 1\nb: 2\na: 3\n```", 5, 1, "stands twice"),
        ("a: 1\nb: x\x00y", 2, 5, "'\\x00' is not allowed"),
        ("a: !!python/object:os.system {}", 1, 4, "could not determine"),
        ("a: !!int 5", 1, 4, "could not determine"),
        ("a: &x [*x]", 1, 4, "nested deeper than 30"),
        ("b: c\na: *x", 2, 4, "undefined alias"),
    ],
)
def test_errors_name_the_position(
    text: str, line: int, column: int, problem: str
) -> None:
    """What cannot be read is one error with the document, line and column."""
    with pytest.raises(DocumentError) as caught:
        read_yaml(text, "requirements.yaml")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert f"requirements.yaml cannot be read at line {line}" in str(caught.value)
    assert problem in str(caught.value)


def test_escapes_beyond_unicode_are_refused() -> None:
    """An escape that names no character is an error of the document."""
    with pytest.raises(DocumentError, match="cannot be read"):
        read_yaml(r'a: "\UFFFFFFFF"')


def test_alias_bomb_is_refused() -> None:
    """A text of 300 characters that expands to billions of nodes is not expanded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    with pytest.raises(DocumentError, match="more than 20000 nodes"):
        read_yaml("\n".join(lines))


def test_harmless_aliases_are_read() -> None:
    """A list that stands twice by alias is a list that stands twice."""
    assert read_yaml("a: &x [1]\nb: *x") == {"a": ["1"], "b": ["1"]}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused(opening: str) -> None:
    """Depth ends in an error of ours before Python's recursion limit."""
    with pytest.raises(DocumentError, match="nested deeper than 30"):
        read_yaml(opening * 3000)


def test_large_text_is_refused() -> None:
    """What is far larger than any document of ours is not parsed."""
    with pytest.raises(DocumentError, match="at most 200000"):
        read_yaml("a" * (yaml_text.MAX_CHARACTERS + 1))


@pytest.mark.parametrize(
    ("text", "kind"), [("", "nothing"), ("- a", "list"), ("hello", "str")]
)
def test_only_mappings_are_documents(text: str, kind: str) -> None:
    """The error says what was found instead of a mapping."""
    with pytest.raises(DocumentError, match=f"got {kind}"):
        read_yaml(text)


@given(st.text() | st.text(alphabet="-:[]{}&*!|>?#%@`\"'\\ \n\tabUx0", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text leads to another exception than DocumentError."""
    try:
        assert isinstance(read_yaml(text), dict)
    except DocumentError as error:
        assert str(error)


@given(st.text(), st.lists(st.text(), max_size=3))
@example("a\x85b \u2028", ["\u2029"])
@settings(max_examples=100, deadline=None)
def test_written_yaml_reads_back(zeta: str, alpha: list[str]) -> None:
    """What is written is read back unchanged, whatever characters it holds."""
    note = Note(zeta=zeta, alpha=alpha)
    assert read_yaml(write_yaml(note)) == note.model_dump()


def test_shipped_documents_read_as_pyyaml_reads_them() -> None:
    """Only that a timestamp becomes ISO 8601."""
    lines = (ROOT / "data/01_raw/product_owner.jsonl").read_text().splitlines()
    outputs = [json.loads(line)["output"] for line in lines[::6]]
    for text in (text for output in outputs for text in output.values()):
        read, plain = read_yaml(text), yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
        assert {**read, "last_updated": ""} == {**plain, "last_updated": ""}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a: &x 1\nb: *x", {"a": "1", "b": "1"}),
        (
            "a: &x {b: [1, &y 2]}\nc: [*x, *y]",
            {"a": (x := {"b": ["1", "2"]}), "c": [x, "2"]},
        ),
        ("2020-01-01 1:02:03: a", {"2020-01-01T01:02:03": "a"}),
        ("~:", {None: None}),
        (
            "a: !!str 2020-01-01 1:02:03\nb: !!null x",
            {"a": "2020-01-01 1:02:03", "b": None},
        ),
    ],
)
def test_unusual_yaml_is_read(text: str, read: dict[str, object]) -> None:
    """Aliases, keys that are not text, and types that are declared."""
    assert read_yaml(text) == read


def test_tab_between_words_is_read() -> None:
    """PyYAML refuses it, YAML does not."""
    assert read_yaml("a: one\ttwo") == {"a": "one\ttwo"}


def test_written_yaml_is_clean() -> None:
    """Block style, letters as they are, keys in the order of the fields."""
    text = write_yaml(Note(zeta="Niño", alpha=["eins", "zwei"]))
    assert text == "zeta: Niño\nalpha:\n- eins\n- zwei\n"
