"""The Product Owner in steps: few words from the LM, the rest by rule."""

import json

import pytest

from po_optimizer.lms.lm import use_lm
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.run import optimize
from po_optimizer.persistence import load_program, save_program
from po_optimizer.product_owner.doubts import doubts_about
from po_optimizer.product_owner.metric import product_owner_metric
from po_optimizer.product_owner.schema import Requirements
from po_optimizer.product_owner.steps import ProductOwnerInSteps
from tests.optimization import world
from tests.product_owner.records import REQUIREMENTS, records, vision
from tests.scripted import scripted_lm

CONCEPT = "Lend garden tools between neighbors, also without network"
REASONS = {
    "Neighbors offer garden tools with a photo": ("aligned", "lenders show the tools"),
    "Every loan is confirmed online at once": ("conflict", "online needs a network"),
    "Lending works without network": ("gap", "Lend garden tools between neighbors"),
}
SPANISH = """
title: Préstamo de herramientas
description: Una lista de herramientas que los vecinos se prestan.
functional_requirements:
- {id: R1, description: Los vecinos ofrecen herramientas con una foto}
"""

ENTRIES = []


def answer(prompt):
    """Entries for a section; of a requirement what stands in REASONS."""
    asked = prompt.rpartition("[[ ## concept ## ]]")[2]
    if "[[ ## section ## ]]" in asked:
        section = asked.partition("section ## ]]")[2].split()[0]
        entries = ENTRIES or [f"Neighbors of {section}", "Neighbors with tools"]
        return json.dumps({"entries": entries})
    standing, reason = next(
        (found for text, found in REASONS.items() if text in asked),
        ("aligned", "una foto muestra la herramienta"),
    )
    return json.dumps({"standing": standing, "reason": reason})


def documents(folder, concept=CONCEPT, requirements=REQUIREMENTS, existing=""):
    """Vision, review and the LM that was asked."""
    lm = scripted_lm(answer, folder)
    with use_lm(lm, stage="evaluate"):
        prediction = ProductOwnerInSteps()(
            concept=concept, requirements_yaml=requirements, existing_vision=existing
        )
    return prediction.product_vision, prediction.product_owner_review, lm


def test_each_call_asks_for_one_thing(tmp_path):
    """Two sections of the vision, then each requirement that is no constraint."""
    *_, lm = documents(tmp_path)
    assert len(lm.scripted.prompts) == 2 + 3


def test_verdict_follows_from_the_standings(tmp_path):
    """A conflict in fewer than half of the requirements asks for an adjustment."""
    _, review, _ = documents(tmp_path)
    assert review.status == "needs_adjustment"
    lists = review.requirements_alignment
    assert lists.aligned == ["FR001 (lenders show the tools)"]
    assert lists.conflicts == ["FR002: online needs a network"]
    assert lists.gaps == ["Gaps that no reason was found for: NFR001"]
    assert "FR002" in review.recommended_actions[0]
    assert review.narrative.endswith("It has to keep to C001.")


def test_conflicts_are_no_capabilities(tmp_path):
    """The vision has the analyst's words of what does not contradict it."""
    written, *_ = documents(tmp_path)
    assert written.product_name == "Tool sharing"
    assert written.key_capabilities == ["Neighbors offer garden tools with a photo"]
    assert written.success_metrics == ["Lending works without network"]


def test_repeated_entry_is_left_out(tmp_path):
    """No two fields have the same sentence, and nothing is doubted."""
    written, review, _ = documents(tmp_path)
    entries = [*written.target_users, *written.value_proposition]
    assert entries.count("Neighbors with tools") == 1
    requirements = Requirements.from_yaml(REQUIREMENTS)
    assert doubts_about(CONCEPT, requirements, written, review) == []


def test_what_a_limit_cut_ends_with_a_whole_word(tmp_path, monkeypatch):
    """Sixty characters may end within a word, or on one that wants another."""
    text, reason = "Neighbors offer garden tools with a photo", "lenders show a photo "
    monkeypatch.setitem(
        REASONS, text, ("aligned", f"{reason}of the tools that they own")
    )
    aligned = documents(tmp_path / "a")[1].requirements_alignment.aligned
    assert aligned[0] == "FR001 (lenders show a photo of the tools that they own)"
    cut = (reason + "of the tools and of the garden in which they stand")[:60]
    monkeypatch.setitem(REASONS, text, ("aligned", cut))
    aligned = documents(tmp_path / "b")[1].requirements_alignment.aligned
    assert aligned[0] == "FR001 (lenders show a photo of the tools and of the garden)"


def test_part_of_the_concept_is_no_entry(tmp_path, monkeypatch):
    """An LM that copies its input has not said who uses the product."""
    monkeypatch.setattr(
        "tests.product_owner.test_steps.ENTRIES",
        ["Lend garden tools between neighbors, also", "Neighbors without a shed"],
    )
    written, *_ = documents(tmp_path)
    assert written.target_users == ["Neighbors without a shed"]


def test_concept_alone_asks_for_requirements(tmp_path):
    """The LM writes what no requirement says; the review says what is missing."""
    written, review, lm = documents(tmp_path, requirements="title: Tools")
    assert len(lm.scripted.prompts) == 4
    assert written.key_capabilities
    assert written.product_summary == CONCEPT
    assert review.status == "needs_adjustment"
    assert review.requirements_alignment.gaps == [
        'No requirement says yet what "Tools" must do.'
    ]


def test_spanish_concept_is_answered_in_spanish(tmp_path):
    """The rules write Spanish, and only Spanish demos are shown."""
    concept = "Los vecinos prestan herramientas de jardín, también sin red"
    _, review, lm = documents(tmp_path, concept, SPANISH)
    assert review.summary == ["1 de 1 requisitos sirven a la idea."]
    assert "huerto escolar" in lm.scripted.prompts[-1]
    assert "choir" not in lm.scripted.prompts[-1]


def test_existing_vision_keeps_its_name_and_what_nothing_speaks_of(tmp_path):
    """A non-goal that a requirement has taken up is dropped."""
    existing = json.dumps(
        vision(product_name="ShedShare", non_goals=["Photos of tools", "Insurance"])
    )
    written, *_ = documents(tmp_path, existing=existing)
    assert written.product_name == "ShedShare"
    assert written.non_goals == ["Insurance"]


def test_part_of_an_existing_vision_is_enough(tmp_path):
    """Records may have one that lacks fields."""
    written, *_ = documents(tmp_path, existing="product_name: Shed")
    assert written.product_name == "Shed"


@pytest.mark.parametrize(
    "wrong", [{"requirements": "- no mapping"}, {"existing": "a: [1"}]
)
def test_unreadable_input_fails_this_example_only(tmp_path, wrong):
    """An evaluation counts it as failed and goes on."""
    with pytest.raises(ValueError, match=r"mapping|line 1"):
        documents(tmp_path, **wrong)


@pytest.mark.parametrize(
    ("conflicts", "status"),
    [(0, "aligned"), (1, "needs_adjustment"), (2, "misaligned")],
)
def test_status_by_share_of_conflicts(tmp_path, monkeypatch, conflicts, status):
    """Half of the requirements in conflict contradict the idea as a whole."""
    for place, text in enumerate(REASONS):
        standing = "conflict" if place < conflicts else "aligned"
        monkeypatch.setitem(REASONS, text, (standing, f"{text.split()[1]} tools"))
    assert documents(tmp_path)[1].status == status


def test_it_is_stored_without_loss(tmp_path):
    """Instructions and typed demos of both predictors come back."""
    program = ProductOwnerInSteps()
    program.judge.signature = program.judge.signature.with_instructions("Be brief.")
    save_program(program, tmp_path / "program.json")
    loaded = load_program(tmp_path / "program.json")
    assert loaded.judge.signature.instructions == "Be brief."
    for name in ("write", "judge"):
        assert getattr(loaded, name).demos == getattr(program, name).demos


def test_miprov2_finds_instructions_and_demos_that_are_stored(tmp_path):
    """Both predictors are optimized, and the candidate comes back as it was found."""

    def respond(prompt):
        wanted = prompt.rpartition("[[ ## concept ## ]]")[2]
        if "`standing`" not in wanted and "`entries`" not in wanted:
            return world.answer(prompt)
        number = len(prompt) % 3
        reason = " ".join(wanted.partition("requirement ## ]]")[2].split()[1:6])
        entries = ["Members of the pool", "Skippers who lend quota"]
        standing = ["aligned", "gap", "conflict"][number]
        return json.dumps({"standing": standing, "reason": reason, "entries": entries})

    examples = [record.to_example() for record in records()[:7]]
    lm = scripted_lm(respond, tmp_path / "lm")
    job = Job(
        student=ProductOwnerInSteps(),
        trainset=examples[:4],
        valset=examples[4:],
        metric=product_owner_metric,
        task_lm=lm,
        prompt_lm=lm,
        params=world.settings(miprov2={"num_candidates": 3, "num_trials": 4}),
    )
    result = optimize(job, workspace=tmp_path)
    assert len(result.trials) > 1
    save_program(result.program, tmp_path / "program.json")
    loaded = load_program(tmp_path / "program.json")
    for name, predictor in result.program.named_predictors():
        other = dict(loaded.named_predictors())[name]
        assert other.signature.instructions == predictor.signature.instructions
        assert other.demos == predictor.demos
