import dspy
import pytest

from po_optimizer.reporting.prompt_diff import (
    change_lines,
    prompt_changes,
    prompt_diff_html,
    readable,
)


def _program(instructions: str, demos: list[dspy.Example] | None = None) -> dspy.Module:
    program = dspy.Predict(dspy.Signature("question -> answer", instructions))
    program.demos = demos or []
    return program


def _page(before: dspy.Module, after: dspy.Module) -> str:
    return prompt_diff_html(prompt_changes(before, after))


def _demo(answer: str, **more: object) -> dspy.Example:
    return dspy.Example(question="q", answer=answer, **more)


def test_an_edit_is_shown_word_by_word() -> None:
    """A changed word stands once as removed and once as added."""
    page = _page(
        _program("Answer the question briefly."), _program("Answer the question fully.")
    )
    assert "<del>briefly.</del><ins>fully.</ins>" in page


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Answer.", "You are a poet of Rome."),
        ("Read the order out of the mail.", "decide by the policy P7 of the house."),
    ],
)
def test_a_rewrite_is_shown_whole(old: str, new: str) -> None:
    """Texts with little in common but spaces stand one below the other, each whole."""
    assert prompt_changes(_program(old), _program(new))[0].diff is None
    page = _page(_program("Answer."), _program("You are a poet of Rome."))
    assert "rewritten" in page
    assert "You are a poet of Rome." in page


def test_unchanged_instructions_are_said_to_be() -> None:
    """Equal instructions are called unchanged."""
    assert "unchanged" in _page(_program("Same."), _program("Same."))


def test_demos_are_kept_added_or_removed() -> None:
    """Demos are compared by content; where they come from is said."""
    before = _program("x", [_demo("old"), _demo("both")])
    after = _program("x", [_demo("both"), _demo("new", augmented=True)])
    demos = prompt_changes(before, after)[0].demos
    found = [(demo.change, demo.origin, demo.fields["answer"]) for demo in demos]
    assert found == [
        ("kept", "labeled", "both"),
        ("added", "bootstrapped", "new"),
        ("removed", "labeled", "old"),
    ]


def test_a_demo_shows_what_stands_in_the_prompt() -> None:
    """A labeled demo is a record with all of its columns; DSPy renders the fields."""
    demo = _demo("a", customer="K12", id=3)
    assert prompt_changes(_program("x"), _program("x", [demo]))[0].demos[0].fields == {
        "question": "q",
        "answer": "a",
    }


def test_demos_of_a_chain_of_thought_are_found() -> None:
    """Demos lie on the inner predictor of a ChainOfThought, and are counted there."""
    before = dspy.ChainOfThought("question -> answer")
    after = before.deepcopy()
    after.predict.demos = [_demo("a")]
    assert prompt_changes(before, after)[0].n_after == 1


def test_predictors_that_are_gone_are_shown() -> None:
    """A predictor that only one program has is not passed over."""
    other = dspy.ChainOfThought("question -> answer")
    names = [change.name for change in prompt_changes(_program("x"), other)]
    assert names == ["predict", "self"]


def test_text_of_programs_is_escaped() -> None:
    """Markup in instructions and demos arrives as text."""
    bad = "<script>alert(1)</script>"
    for before in ("Answer.", f"{bad} again"):
        page = _page(_program(before), _program(bad, [_demo(bad)]))
        assert bad not in page
        assert "&lt;script&gt;" in page


def test_structures_are_readable() -> None:
    """Text stays as it is, structures become YAML in their own order."""
    assert readable("a\nb") == "a\nb"
    assert readable({"b": [1], "a": "ñ"}) == "b:\n- 1\na: ñ"
    assert readable(0.5) == "0.5"


def test_changes_are_told_in_lines() -> None:
    """A line a text that came or went, cut at a word; what stayed is counted only."""
    before = _program("Answer.", [_demo("kept"), _demo("old")])
    after = _program("Answer. " * 20, [_demo("kept"), _demo("new")])
    head, *lines = change_lines(prompt_changes(before, after))
    assert head == "New instructions, 1 demo added, 1 demo removed."
    assert lines[0] == "- Answer."
    assert lines[1].endswith("Answer. ...")
    assert lines[2:] == ["+ question: q | answer: new", "- question: q | answer: old"]
    assert len([*change_lines(prompt_changes(before, before))]) == 1
