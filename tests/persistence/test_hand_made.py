"""Components files that somebody wrote by hand fill a program, or say why not."""

import json

import dspy
import pytest
from pydantic import BaseModel

from po_optimizer import load_program_from_components
from po_optimizer.errors import ArtifactError


class Review(BaseModel):
    """A typed output."""

    status: str
    gaps: list[str]


class ReviewVision(dspy.Signature):
    """Review it."""

    concept: str = dspy.InputField()
    vision: str = dspy.InputField()
    review: Review = dspy.OutputField()


class Writer(dspy.Module):
    """Two steps, the second one typed."""

    def __init__(self):
        super().__init__()
        self.draft = dspy.ChainOfThought("concept -> vision")
        self.review = dspy.Predict(ReviewVision)


REVIEW = "status: aligned\ngaps:\n- none named\n"
DEMO = {"concept": "c", "vision": "v", "review": REVIEW}


def document(**review):
    """A file as such scripts write it, with changes to its second module."""
    draft = {"instructions": "Draft with care.", "fields": ["concept", "vision"]}
    return {
        "role": "product_owner",
        "type": "Writer",
        "modules": {
            "draft": draft,
            "review": {
                "instructions": "Judge with care.",
                "fields": {"inputs": ["concept", "vision"], "outputs": ["review"]},
                "demos": [DEMO],
                **review,
            },
        },
    }


def test_instructions_and_demos_reach_the_program(tmp_path):
    """Demo values have the types of the signature; the given program is left alone."""
    path, program = tmp_path / "components.json", Writer()
    path.write_text(json.dumps(document()))
    filled = load_program_from_components(path, program=program)
    assert filled.draft.predict.signature.instructions == "Draft with care."
    assert filled.review.signature.instructions == "Judge with care."
    (demo,) = filled.review.demos
    assert demo.review == Review(status="aligned", gaps=["none named"])
    assert program.review.demos == []


def test_modules_may_be_a_list_and_demos_in_two_parts():
    """As traces are often written."""
    demo = {"inputs": {"concept": "c", "vision": "v"}, "outputs": {"review": REVIEW}}
    wrong = {"name": "review", "fields": [{"name": "x"}], "demos": [demo]}
    modules = [wrong]
    with pytest.raises(ArtifactError, match="has the fields x"):
        load_program_from_components({"modules": modules}, program=Writer())
    modules[0].pop("fields")
    filled = load_program_from_components({"modules": modules}, program=Writer())
    assert filled.review.demos[0].concept == "c"


@pytest.mark.parametrize(
    ("demos", "problem"),
    [
        ([{"concept": "c", "vision": "v"}], r"review.demos\[0\] lacks review"),
        ([DEMO, {"review": REVIEW}], r"demos\[1\] lacks concept, vision"),
        ([DEMO | {"review": "no"}], r"demos\[0\].review cannot be used"),
        ([DEMO | {"review": "a: ["}], r"demos\[0\].review cannot be used"),
        ([DEMO | {"review": 3}], r"demos\[0\].review cannot be used"),
    ],
)
def test_demo_that_teaches_nothing_is_refused_by_name(demos, problem):
    """The module, the demo and the field are named."""
    with pytest.raises(ArtifactError, match=problem):
        load_program_from_components(document(demos=demos), program=Writer())


def test_module_of_no_predictor_is_refused():
    """Those that the program has are listed."""
    for modules, problem in (
        ({"other": {"instructions": "x"}}, r"modules.other is none of .*draft.predict"),
        ({"other": "x"}, "modules other hold no instructions"),
    ):
        with pytest.raises(ArtifactError, match=problem):
            load_program_from_components({"modules": modules}, program=Writer())


def test_file_alone_is_no_program():
    """It has neither code nor types."""
    with pytest.raises(ArtifactError, match=r"instructions of Writer.*program=\.\.\."):
        load_program_from_components(document())
