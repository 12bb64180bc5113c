"""GEPA finds better instructions, and its result is the program."""

import json
import logging

import dspy
import pytest

from po_optimizer.optimization.candidates import with_prompts_of
from po_optimizer.persistence import load_program, save_program
from tests.optimization import world

MAGIC = "policy nine"


class Sorter(dspy.Module):
    """Two predictors; what each should say stands in the question."""

    def __init__(self):
        super().__init__()
        self.size = dspy.ChainOfThought("message -> size")
        self.color = dspy.Predict("message -> color")

    def forward(self, message):
        """Both."""
        size = self.size(message=message).size
        return dspy.Prediction(size=size, color=self.color(message=message).color)


def examples(prefix, n):
    """Big and red ones, labels under other names."""
    return [
        dspy.Example(message=f"{prefix}{i}", gold={"size": "big", "color": "red"})
        for i in range(n)
    ]


def parts(n, prefix):
    """Examples with their inputs marked."""
    return [example.with_inputs("message") for example in examples(prefix, n)]


def metric(example, pred, trace=None, pred_name=None, pred_trace=None):
    """Half a point each; asked about a predictor, it speaks of that one only."""
    right = {name: example.gold[name] == pred[name] for name in example.gold}
    score = sum(right.values()) / 2
    if pred_name is None:
        return score
    name = pred_name.split(".")[0]
    said = pred_trace[0][2][name]
    feedback = f"ABOUT-{name.upper()}: {example.gold[name]}, not {said}"
    return dspy.Prediction(score=score, feedback=feedback)


def answer(prompt):
    """Right under the magic instruction; the first reflections find it."""
    wanted = prompt.rsplit("Respond with", 1)[-1]
    if "new_instruction" in wanted:
        return json.dumps({"new_instruction": f"Decide by {MAGIC}."})
    right = MAGIC in prompt
    if "size" in wanted:
        return json.dumps({"reasoning": "r", "size": "big" if right else "small"})
    lucky = '"v1"' in prompt or "v1\n" in prompt
    return json.dumps({"color": "red" if right or lucky else "blue"})


@pytest.fixture(scope="module", params=[1, 8])
def improved(request, tmp_path_factory):
    """One whole run, what it stored and what the LM was asked."""
    folder = tmp_path_factory.mktemp("gepa")
    lm = world.lm(folder, answer, num_threads=request.param)
    shelf = world.Shelf()
    job = world.job(
        lm,
        world.settings("gepa", gepa={"max_full_evals": 5}),
        student=Sorter(),
        trainset=parts(8, "t"),
        valset=parts(8, "v"),
        metric=metric,
    )
    result = world.optimize(job, workspace=folder, save_best=shelf)
    return result, shelf, lm.scripted.prompts, folder


def test_gepa_improves(improved):
    """Both predictors get the instruction that helps."""
    result = improved[0]
    assert result.report.baseline.score < result.report.best.score == 1.0
    assert all(MAGIC in text for text in result.report.instructions)


def test_its_result_is_the_program(improved):
    """No method of the optimizer's is in it: it answers with a prediction."""
    result, shelf, _, folder = improved
    lm = world.lm(folder, answer)
    for program in (result.program, *(saved for saved, _ in shelf.saved)):
        assert not set(vars(program)) & {"forward", "__call__"}
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        assert result.program(message="v3").size == "big"


def test_its_result_is_stored_and_loaded(improved):
    """The loaded program answers as the one in memory."""
    result, _, _, folder = improved
    path = folder / "program.json"
    save_program(result.program, path, dill="off", verify="inline")
    loaded = load_program(path, allowed_packages=("dspy", "tests"))
    with dspy.context(lm=world.lm(folder, answer), adapter=dspy.JSONAdapter()):
        assert loaded(message="v3").color == "red"


def test_every_reflection_quotes_the_feedback_on_its_predictor(improved):
    """`pred_name` and `pred_trace` reach the metric, its words the prompt LM."""
    wanted = [p for p in improved[2] if "new_instruction" in p.rsplit("Respond", 1)[-1]]
    assert len(wanted) >= 2
    about = ["ABOUT-SIZE: big, not", "ABOUT-COLOR: red, not"]
    for prompt in wanted:
        assert sum(words in prompt for words in about) == 1
        assert "This trajectory got a score" not in prompt


def test_a_patch_is_left_out_of_the_copy_only():
    """Also one in a part; the candidate under evaluation keeps it."""
    student, program = Sorter(), Sorter()
    program.forward = lambda message: (message, [])
    program.size.forward = program.size.__call__
    copied = with_prompts_of(program, student)
    assert "forward" in vars(program)
    assert "forward" in vars(program.size)
    assert "forward" not in vars(copied)
    assert "forward" not in vars(copied.size)


def test_what_the_student_has_itself_stays():
    """A tool under the name of a method is the program's own."""
    student = Sorter()
    student.forward = logging.getLogger("tool").info
    copied = with_prompts_of(student.deepcopy(), student)
    assert "forward" in vars(copied)
