"""GEPA improves every role of this repository, and its result is released."""

import json
import sys
from pathlib import Path

import dspy
import pytest

from po_optimizer.evaluation.predictions import json_ready
from po_optimizer.params.project import RoleParams
from po_optimizer.persistence import load_program, save_program
from po_optimizer.records.checking import to_examples
from po_optimizer.roles.build import load_metric, make_program
from po_optimizer.roles.record import load_record_type
from tests.optimization import world
from tests.product_owner.records import PRODUCT_OWNER, SHIPPED
from tests.small_role import ROLE, raw_record

REPO = Path(__file__).parents[2]
MAGIC = "policy nine"


def lines(path):
    """Raw records of a file."""
    return [json.loads(line) for line in (REPO / path).read_text().splitlines()]


def desk():
    """The support desk, a role of its own."""
    role = {"program": "Triage", "metric": "triage_metric"}
    named = {part: f"support_desk.role.{name}" for part, name in role.items()}
    return RoleParams(**named), lines("roles/support_desk/records.jsonl")


ROLES = {
    "product_owner": lambda: (PRODUCT_OWNER, lines(SHIPPED)),
    "support_desk": desk,
    "small_role": lambda: (RoleParams(**ROLE), [raw_record(n) for n in range(8)]),
}


def answers(examples):
    """Right under the magic instruction, else what another example should get."""

    def respond(prompt):
        if "new_instruction" in prompt.rsplit("Respond with", 1)[-1]:
            return json.dumps({"new_instruction": f"Decide by {MAGIC}."})
        inputs = [str(next(iter(e.inputs().values()))) for e in examples]
        at = max(range(len(examples)), key=lambda i: prompt.rfind(inputs[i]))
        right = examples[at if MAGIC in prompt else at - 1]
        return json.dumps(json_ready(dict(right.labels().items())))

    return respond


@pytest.mark.parametrize("name", ROLES)
def test_gepa_improves_the_role(tmp_path, monkeypatch, name):
    """The better instruction is found, stored, and answers after a load."""
    monkeypatch.setattr(sys, "path", [str(REPO / "roles"), *sys.path])
    role, records = ROLES[name]()
    examples = to_examples(records[:8], load_record_type(role))
    lm = world.lm(tmp_path, answers(examples))
    job = world.job(
        lm,
        world.settings("gepa"),
        student=make_program(role),
        trainset=examples[:4],
        valset=examples[4:],
        metric=load_metric(role),
    )
    result = world.optimize(job, workspace=tmp_path, save_best=world.Shelf())
    assert result.report.best.score > result.report.baseline.score
    assert result.report.instructions == [f"Decide by {MAGIC}."]
    save_program(result.program, tmp_path / "program.json", dill="off", verify="inline")
    loaded = load_program(
        tmp_path / "program.json",
        allowed_packages=("dspy", "po_optimizer", "tests", "support_desk"),
    )
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        assert isinstance(loaded(**examples[5].inputs()), dspy.Prediction)
